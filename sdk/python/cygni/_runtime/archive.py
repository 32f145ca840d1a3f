"""A directory as the archive that a deployment is built from.

The same files give the same archive bytes on every machine: order, times, owners and modes are fixed, so an upload of
an unchanged directory is recognised by its hash.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from . import tar
from .behavior import ALWAYS_IGNORED, ARCHIVE_EXECUTABLE_MODE, ARCHIVE_FILE_MODE, ARCHIVE_LINK_MODE, IGNORE_FILES
from .errors import CygniError

if TYPE_CHECKING:
    import gzip

    from pathspec import GitIgnoreSpec


class ArchiveError(CygniError):
    """The directory holds something that cannot be deployed; the message names it."""


def pack(directory: Path, file: BinaryIO) -> int:
    """Write a gzipped tar of the directory, without what .gitignore and .cygniignore leave out. Returns how many
    files are in it. Raises ArchiveError for a directory without files, or with a link that leads out of it.
    """
    import gzip  # noqa: PLC0415 - most programs never pack anything

    if not directory.is_dir():
        raise ArchiveError(f"{directory} is not a directory.")
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as zipped:
        return write_tar(directory, zipped)


def write_tar(directory: Path, file: IO[bytes] | gzip.GzipFile) -> int:
    """The tar that `pack` compresses: the same bytes in every language's SDK. Raises ArchiveError as pack does."""
    count = 0
    for name in list_files(directory):
        for part in _member(directory, name):
            file.write(part)
        count += 1
    if not count:
        raise ArchiveError(f"{directory} has no files to deploy, or its ignore files leave none.")
    file.write(tar.end())
    return count


def list_files(directory: Path) -> Iterator[str]:
    """The files and links to pack, as paths relative to the directory, in a fixed order."""
    yield from _walk(directory, "", [])


def _walk(directory: Path, inside: str, rules: list[tuple[str, GitIgnoreSpec]]) -> Iterator[str]:
    """Git's rules: a deeper ignore file overrules a higher one, and nothing below an ignored folder comes back."""
    spec = _read_rules(directory / inside)
    if spec is not None:
        rules = [*rules, (inside, spec)]
    with os.scandir(directory / inside) as entries:
        found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    for entry in found:
        name = inside + entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name in ALWAYS_IGNORED or _is_ignored(f"{name}/" if is_folder else name, rules):
            continue
        if is_folder:
            yield from _walk(directory, f"{name}/", rules)
        elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
            yield name  # sockets, pipes and devices are left out, as git leaves them out


def _read_rules(folder: Path) -> GitIgnoreSpec | None:
    """Of one folder, .cygniignore after .gitignore: the last match counts, so it can take back what git ignores."""
    lines: list[str] = []
    for name in IGNORE_FILES:
        path = folder / name
        if path.is_file():
            lines += path.read_text(errors="replace").splitlines()
    if not lines:
        return None
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - only a directory with rules pays for the import

    return GitIgnoreSpec.from_lines(lines)


def _is_ignored(name: str, rules: list[tuple[str, GitIgnoreSpec]]) -> bool:
    for base, spec in reversed(rules):
        verdict = spec.check_file(name.removeprefix(base)).include
        if verdict is not None:
            return verdict
    return False


def _member(directory: Path, name: str) -> Iterator[bytes]:
    path = directory / name
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(path)
        _check_link(name, target)
        yield tar.header(tar.Entry(os.fsencode(name), ARCHIVE_LINK_MODE, link=os.fsencode(target)))
        return
    mode = ARCHIVE_EXECUTABLE_MODE if status.st_mode & 0o100 else ARCHIVE_FILE_MODE
    try:
        with path.open("rb") as content:
            size = os.fstat(content.fileno()).st_size
            yield tar.header(tar.Entry(os.fsencode(name), mode, size))
            yield from tar.content(content, size)
    except OSError as error:
        raise ArchiveError(f"{name} cannot be packed: {error.strerror or error}.") from error


def _check_link(name: str, target: str) -> None:
    where = os.path.normpath(os.path.join(os.path.dirname(name), target))
    if os.path.isabs(target) or where == ".." or where.startswith("../"):
        raise ArchiveError(f"{name} is a link to {target}, outside of the directory: only what is inside is deployed.")
