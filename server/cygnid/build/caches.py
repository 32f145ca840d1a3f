"""The build caches of all environments: held while a build runs, and emptied, the longest unused first, when together
they have grown too big."""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from cygnid.build.layout import remove
from cygnid.build.threads import in_thread
from cygnid.sandbox.disk import used_bytes

_USED = ".used"
"""In each cache: its time says when a build last ended, its text the bytes there were then ("": a build broke off), and
whoever builds has it locked. Builds do not see it."""
log = logging.getLogger("cygnid.builds")


class Caches:
    """`folder` holds `<project>/<environment>/`. `max_bytes` is for all of them, `max_bytes_each` for one: it counts to
    what a build may write, so one that has grown too big would fail every build."""

    def __init__(self, folder: Path, *, max_bytes: int, max_bytes_each: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_bytes_each = max_bytes_each

    @asynccontextmanager
    async def held(self, cache: Path, *, clear: bool) -> AsyncGenerator[str]:
        """Nobody empties `cache` while the block runs. Gives why it was emptied before, for people, or ""."""
        lock = await in_thread(_lock, cache)
        cancelled = False
        try:
            size = await in_thread(_size, cache)
            why = "" if size <= self._max_bytes_each else ": it had grown too big"
            if clear or why:
                await remove(*(path for path in cache.iterdir() if path.name != _USED))
            os.truncate(lock, 0)
            yield f"the build cache was cleared{'' if clear else why}" if clear or why else ""
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            if not cancelled:
                os.pwrite(lock, str(await in_thread(used_bytes, [str(cache)])).encode(), 0)
                os.utime(lock)
            os.close(lock)
            if not cancelled:
                await self._make_room()

    async def _make_room(self) -> None:
        """What is done well stays done when this fails."""
        try:
            for cache in await in_thread(self._too_many):
                if (lock := _lock_unused(cache)) is not None:
                    try:
                        await remove(cache)
                    finally:
                        os.close(lock)
        except OSError as error:
            log.warning("build caches cannot be removed: %s", error)

    def _too_many(self) -> list[Path]:
        """Those without which the rest fits, or all that there are."""
        found: list[tuple[float, int, Path]] = []
        for cache in self._folder.glob("*/*"):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found.append((_last_used(cache), _size(cache), cache))
        total = sum(size for _, size, _ in found)
        leave: list[Path] = []
        for _, size, cache in sorted(found):
            if total <= self._max_bytes:
                break
            leave.append(cache)
            total -= size
        return leave


def _lock(cache: Path) -> int:
    """A descriptor that locks it; waits for whoever is removing it, and makes it anew then."""
    while True:
        cache.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(cache / _USED, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # removed in between
        fcntl.flock(lock, fcntl.LOCK_SH)
        if _is_there(lock, cache):
            return lock
        os.close(lock)


def _lock_unused(cache: Path) -> int | None:
    """A descriptor that keeps builds from it; None when one has it, or it is gone."""
    try:
        lock = os.open(cache / _USED, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    if not _is_there(lock, cache):
        os.close(lock)
        return None
    return lock


def _is_there(lock: int, cache: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), os.stat(cache / _USED))
    except FileNotFoundError:
        return False


def _last_used(cache: Path) -> float:
    try:
        return (cache / _USED).stat().st_mtime
    except FileNotFoundError:
        return cache.stat().st_mtime


def _size(cache: Path) -> int:
    try:
        text = (cache / _USED).read_text()
    except FileNotFoundError:
        text = ""
    return int(text) if text else used_bytes([str(cache)])
