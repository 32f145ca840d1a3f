"""The API's side: asks the worker for git."""

import asyncio
import contextlib
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cygnid.core.errors import CygniError, Unavailable
from cygnid.git import wire

_SECONDS = 30.0
"""Within which the worker answers that it has begun, or what it was asked for."""
_END_SECONDS = 3.0
_STREAM_BYTES = 1 << 16


class RepositoryFull(CygniError):
    """The repository has reached the size that is allowed here."""

    status = 413
    code = "payload_too_large"
    hint = "Remove large files from its history, or branches that nobody needs, and push again later."


class GitRun:
    """`git http-backend` at work on one request."""

    def __init__(self, connection: "_Connection", streams: Sequence[tuple[StreamReader, StreamWriter]]) -> None:
        self._connection = connection
        # one for each direction: git may end before it has read all, which breaks what it reads from
        (_, self.body), (self.answer, self._unused), *hooks = streams
        self.hook = hooks[0] if hooks else None

    async def ended(self) -> wire.Reply:
        """How it ended. Raises Unavailable when the worker has gone meanwhile."""
        return await self._connection.read()

    async def close(self) -> None:
        """Nothing of it goes on. With its input at an end git ends by itself, and removes what came by halves; what it
        still says is read, since a closed ear would kill it before it has."""
        writers = (self.body, *([self.hook[1]] if self.hook else []))
        for writer in writers:
            writer.close()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_END_SECONDS):
                while await self.answer.read(_STREAM_BYTES):
                    pass
        for writer in (self._unused, self._connection.writer):
            writer.close()
        for writer in (*writers, self._unused, self._connection.writer):
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Git:
    """`folder`: where the worker's socket is."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / wire.SOCKET

    async def begin(self, project_id: str, variables: dict[str, str], *, writes: bool) -> GitRun:
        """Raises Unavailable, RepositoryFull."""
        pairs = [wire.pair() for _ in range(3 if writes else 2)]
        request = wire.Http(project_id=project_id, variables=variables, writes=writes)
        connection: _Connection | None = None
        try:
            connection = await self._ask(request, [theirs for _, theirs in pairs])
            reply = await connection.read(_SECONDS)
            if reply.what == "full":
                raise RepositoryFull
            if reply.what != "started":
                raise Unavailable(reply.message or None, headers={"Retry-After": "5"})
            streams = [await asyncio.open_unix_connection(sock=ours, limit=_STREAM_BYTES) for ours, _ in pairs]
            return GitRun(connection, streams)
        except BaseException:
            for ours, _ in pairs:
                ours.close()
            if connection is not None:
                connection.writer.close()
            raise
        finally:
            for _, theirs in pairs:
                theirs.close()

    async def commit(self, project_id: str, sha: str) -> dict[str, str] | None:
        """Its sha, message, author_name, author_email and committed_at; None: there is none. Raises Unavailable."""
        connection = await self._ask(wire.Commit(project_id=project_id, sha=sha), [])
        try:
            return (await connection.read(_SECONDS)).commit
        finally:
            connection.writer.close()

    async def _ask(self, request: wire.Request, sockets: list[socket.socket]) -> "_Connection":
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.setblocking(False)  # a full queue is an error, not a wait
            with wire.short(self._path) as path:
                connection.connect(path)
            fds = [each.fileno() for each in sockets]
            socket.send_fds(connection, [wire.line(request)], fds) if fds else connection.sendall(wire.line(request))
            return _Connection(*await asyncio.open_unix_connection(sock=connection))
        except OSError as error:
            connection.close()
            raise _away() from error


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self, seconds: float | None = None) -> wire.Reply:
        """The next line. Raises Unavailable."""
        try:
            async with asyncio.timeout(seconds):
                said = await self.reader.readline()
        except (TimeoutError, OSError) as error:
            raise _away() from error
        if not said:
            raise _away()
        return msgspec.json.decode(said, type=wire.Reply)


def _away() -> Unavailable:
    return Unavailable("The worker, which keeps the repositories, is away at the moment.", headers={"Retry-After": "5"})
