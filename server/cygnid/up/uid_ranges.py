"""Blocks of uids, one per installation of a machine: what runs in one can do nothing to another's files."""

import fcntl
import os
import pwd
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

FIRST, SIZE, LAST = 200_000, 10_000, 60_000_000
REGISTRY = Path("/var/lib/cygni-uids")
"""One link per block, `<first uid>` → the data folder; it outlives reboots, as the files owned by those uids do."""


class NoFreeRange(Exception):
    """Every block of uids is taken."""


def accounts() -> Iterator[tuple[int, int]]:
    """(first, count) of the uids that the machine's accounts have."""
    for account in pwd.getpwall():
        yield account.pw_uid, 1


def reserve(
    data: Path,
    *,
    registry: Path = REGISTRY,
    subuid: Path = Path("/etc/subuid"),
    accounts: Callable[[], Iterable[tuple[int, int]]] = accounts,
) -> int:
    """The first uid of a block that is no other installation's, no account's and no container range's.

    A block whose data folder is gone is free again. Raises NoFreeRange.
    """
    registry.mkdir(mode=0o755, exist_ok=True)
    with _locked(registry):
        taken = [*accounts(), *_container_ranges(subuid)]
        for first in range(FIRST, LAST, SIZE):
            link = registry / str(first)
            if any(start < first + SIZE and first < start + count for start, count in taken) or _in_use(link, data):
                continue
            link.unlink(missing_ok=True)
            link.symlink_to(data.resolve())
            return first
    raise NoFreeRange(f"no block of {SIZE} uids is free; set CYGNI_UID_BASE, or remove stale links in {registry}.")


def _in_use(link: Path, data: Path) -> bool:
    return link.is_symlink() and link.readlink() != data.resolve() and link.exists()


def _container_ranges(path: Path) -> Iterator[tuple[int, int]]:
    """`name:first:count` lines of subuid(5)."""
    if path.exists():
        for line in path.read_text().splitlines():
            match line.split(":"):
                case [_, first, count] if first.isdigit() and count.isdigit():
                    yield int(first), int(count)
                case _:
                    pass


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
