"""The file of one upload, which one request at a time may write."""

import asyncio
import errno
import fcntl
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cygnid.core.errors import Unavailable

_PIECE = 1 << 20
_REMEMBERED = 64
_FULL = (errno.ENOSPC, errno.EDQUOT)
Result = TypeVar("Result")


class Hash(Protocol):
    """What hashlib's objects can do."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class Busy(Exception):
    """Another request is writing it."""


class UploadFile:
    """Open, and locked against other requests, of other processes too."""

    def __init__(self, descriptor: int, folder: Path) -> None:
        self._descriptor, self._folder = descriptor, folder
        self._is_new = self.size() == 0

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    async def cut(self, size: int) -> None:
        """What follows is forgotten."""
        await in_thread(os.ftruncate, self._descriptor, size)

    async def write(self, data: bytes, at: int, hasher: Hash) -> None:
        """Raises Unavailable when the disk is full."""
        await in_thread(self._write, data, at, hasher)

    async def keep(self) -> None:
        """Return when what was written survives a loss of power. Raises Unavailable when the disk is full."""
        await in_thread(self._sync)

    async def read(self, at: int, size: int) -> bytes:
        """Fewer bytes only at the end of the file."""
        return await in_thread(self._read, at, size)

    async def hasher(self, size: int) -> Hash:
        """SHA-256 of the first `size` bytes, which goes on with what follows."""
        return await in_thread(self._hash, size)

    def _write(self, data: bytes, at: int, hasher: Hash) -> None:
        view = memoryview(data)
        with _told_when_full():
            while view:
                written = os.pwrite(self._descriptor, view, at)
                view, at = view[written:], at + written
        hasher.update(data)

    def _sync(self) -> None:
        with _told_when_full():
            os.fsync(self._descriptor)
            if self._is_new:
                # its name in the folder has to survive too
                folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    def _read(self, at: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size and (part := os.pread(self._descriptor, size, at)):
            parts.append(part)
            at, size = at + len(part), size - len(part)
        return b"".join(parts)

    def _hash(self, size: int) -> Hash:
        hasher = hashlib.sha256()
        at = 0
        while at < size:
            part = self._read(at, min(_PIECE, size - at))
            if not part:
                raise OSError(errno.EIO, "the file of an upload became shorter while it was read")
            hasher.update(part)
            at += len(part)
        return hasher


@contextmanager
def opened(path: Path, *, create: bool) -> Generator[UploadFile]:
    """Raises Busy, FileNotFoundError when it is not there and `create` is not said."""
    if create:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as locked:
            raise Busy from locked
        yield UploadFile(descriptor, path.parent)
    finally:
        os.close(descriptor)


class Hashers:
    """Of the uploads that went on last, how far their hash is: the parts of one need not be read again. `turn` is the
    row's when the state was true."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._found: OrderedDict[str, tuple[int, Hash]] = OrderedDict()

    def take(self, upload_id: str, turn: int) -> Hash | None:
        known = self._found.pop(upload_id, None)
        return known[1] if known is not None and known[0] == turn else None

    def give(self, upload_id: str, turn: int, hasher: Hash) -> None:
        self._found[upload_id] = (turn, hasher)
        while len(self._found) > self._remembered:
            self._found.popitem(last=False)


async def in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """When this is cancelled, the thread ends first: it must not write to a descriptor that was closed, and may by
    then be another file's."""
    working = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


@contextmanager
def _told_when_full() -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Unavailable(
            "The platform's disk is full.",
            hint="Whoever runs this installation must make room; the upload goes on where it was.",
        ) from error
