"""The edge's folder: who may write it (the leader's term), its documents, and what it remembers between workers."""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from cygnid.edge.base import EdgeUnavailable, StaleLeader

_LOCK_SECONDS = 10


class Generation(msgspec.Struct, kw_only=True, frozen=True):
    number: int = 0
    fingerprint: str = ""
    """Of the binary and everything it is started with."""


class Remembered(msgspec.Struct, kw_only=True):
    """`state.json`."""

    version: int | None = None
    """The last one that Envoy confirmed."""
    envoy: Generation = Generation()
    files: Generation = Generation()
    leaving: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    """Program → since when (Unix time): replaced, and finishing what it has begun."""


class Document(msgspec.Struct, frozen=True):
    """A file that Envoy watches. Its version is made of its content, so equal content is never sent twice."""

    version_info: str
    resources: list[dict[str, Any]]


def document(resources: Iterable[dict[str, Any]]) -> tuple[str, bytes]:
    """(version, bytes of the file)."""
    body = msgspec.json.encode(list(resources))
    version = hashlib.sha256(body).hexdigest()[:16]
    return version, b'{"version_info":"%s","resources":%s}' % (version.encode(), body)


class Folder:
    """Readable by Envoy through the owner of each file; written by the leader alone."""

    def __init__(self, path: Path, *, uid: int | None) -> None:
        self.path, self._uid = path, uid

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @asynccontextmanager
    async def fenced(self, term: int) -> AsyncGenerator[None]:
        """Hold the folder's lock as leader of this term: keep it for moments only, a paused holder blocks all others.
        Raises StaleLeader when a newer leader was here; EdgeUnavailable when the lock is not to be had."""
        fd = os.open(self / "term", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await self._lock(fd)
            known = int(os.pread(fd, 32, 0) or b"0")
            if known > term:
                raise StaleLeader(f"term {term} is over: the edge is led by term {known}")
            if known < term:
                os.pwrite(fd, b"%d" % term, 0)  # terms only grow, so the new one covers the old
            yield
        finally:
            os.close(fd)

    async def _lock(self, fd: int) -> None:
        deadline = asyncio.get_running_loop().time() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as held:
                if asyncio.get_running_loop().time() > deadline:
                    raise EdgeUnavailable(f"another process has held {self / 'term'} for {_LOCK_SECONDS} s") from held
                await asyncio.sleep(0.005)
            else:
                return

    async def replace(self, name: str, body: bytes, *, term: int, owner: int | None = None, mode: int = 0o600) -> None:
        """Write beside and rename: a reader sees the old or the new, and a stale leader changes nothing."""
        beside = self / f".{name}.{os.getpid()}"
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, mode)
                if owner is not None:
                    os.fchown(fd, owner, owner)
                file.write(body)
            async with self.fenced(term):
                beside.rename(self / name)
        finally:
            beside.unlink(missing_ok=True)

    async def publish(self, name: str, body: bytes, *, term: int) -> None:
        """`replace` for a file that Envoy reads."""
        await self.replace(name, body, term=term, owner=self._uid)

    def saved(self, name: str) -> Document | None:
        """None when there is none, or what is there cannot be read (the machine lost power while it was written)."""
        try:
            return msgspec.json.decode((self / name).read_bytes(), type=Document)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def remembered(self) -> Remembered:
        try:
            return msgspec.json.decode((self / "state.json").read_bytes(), type=Remembered)
        except (FileNotFoundError, msgspec.DecodeError):
            return Remembered()

    async def remember(self, state: Remembered, *, term: int) -> None:
        await self.replace("state.json", msgspec.json.encode(state), term=term)
