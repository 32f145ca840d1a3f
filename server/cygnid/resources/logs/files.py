"""Files that others write and the tailer reads: chunks, holes, and news of changes."""

import asyncio
import ctypes
import os
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

CHUNK = 256 * 1024
_BLOCK = 4096
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # linux/falloc.h
_MODIFY, _MOVED_TO, _CREATE, _OVERFLOW, _IGNORED = 0x2, 0x80, 0x100, 0x4000, 0x8000  # linux/inotify.h
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file as it is, and what it holds from `start`."""

    inode: int
    size: int
    start: int
    data: bytes
    lost: int
    """Bytes before `start` that were passed over."""


def look(path: Path) -> tuple[int, int] | None:
    """(inode, size); None: no such regular file."""
    with suppress(FileNotFoundError, NotADirectoryError):
        found = path.lstat()
        if stat.S_ISREG(found.st_mode):
            return found.st_ino, found.st_size
    return None


def read(path: Path, *, inode: int | None, position: int, limit: int, ceiling: int) -> Found | None:
    """Up to `limit` bytes from where `position` was, of the file with this inode; another file, or one that was cut
    short, is read from its start. Of more than `ceiling` unread bytes the older half is passed over. None: no file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            return None
        if found.st_ino != inode or found.st_size < position:
            position = 0
        lost = 0
        if found.st_size - position > ceiling:
            lost = found.st_size - ceiling // 2 - position
        start = position + lost
        return Found(inode=found.st_ino, size=found.st_size, start=start, data=os.pread(file, limit, start), lost=lost)
    finally:
        os.close(file)


def punch(path: Path, *, inode: int, end: int) -> None:
    """Give the disk back what lies before `end`; offsets and size stay. Where the file system cannot, it stays."""
    end -= end % _BLOCK
    if end <= 0 or not hasattr(_libc, "fallocate64"):
        return
    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # gone, or not ours to write: it is deleted with its stream
    try:
        if os.fstat(file).st_ino == inode:
            _libc.fallocate64(
                file, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_int64(0), ctypes.c_int64(min(end, os.fstat(file).st_size))
            )
    finally:
        os.close(file)


class Watch:
    """Which files in some folders changed, by inotify: one watch a folder, nothing to do while all is quiet. Where
    there is no inotify it knows of nothing, and the caller's own looks find everything later."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._file = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(_libc, "inotify_init1") else -1
        self._folders: dict[int, str] = {}
        self._listening = False

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file >= 0:
            self._deafen()
            os.close(self._file)

    def add(self, folders: set[str]) -> None:
        """Watch these too; one that is not there yet is to be added again."""
        if self._file < 0:
            return
        for folder in folders - set(self._folders.values()):
            number = _libc.inotify_add_watch(self._file, os.fsencode(folder), _MODIFY | _MOVED_TO | _CREATE)
            if number >= 0:
                self._folders[number] = folder

    def take(self) -> set[str] | None:
        """The paths that changed since the last call; None: it is not known, any may have."""
        if self._file < 0:
            return set()
        found: set[str] = set()
        everything = False
        with suppress(BlockingIOError):
            while data := os.read(self._file, 64 * 1024):
                at = 0
                while at < len(data):
                    number, mask, _, length = _EVENT.unpack_from(data, at)
                    at += _EVENT.size
                    name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
                    at += length
                    everything |= bool(mask & _OVERFLOW)
                    if mask & _IGNORED:
                        self._folders.pop(number, None)
                    elif number in self._folders:
                        found.add(f"{self._folders[number]}/{name}")
        self._listen()
        return None if everything else found

    def _listen(self) -> None:
        if self._file >= 0 and not self._listening:
            self._listening = True
            asyncio.get_running_loop().add_reader(self._file, self._ready)

    def _deafen(self) -> None:
        self._listening = False
        asyncio.get_running_loop().remove_reader(self._file)

    def _ready(self) -> None:
        # heard once, then deaf until the events are taken: a file written all the time costs nothing more
        self._deafen()
        self._changed()
