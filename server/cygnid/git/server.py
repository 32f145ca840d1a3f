"""The worker's side: runs git for the API."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import msgspec

from cygnid.git import wire
from cygnid.source.base import SourceUnavailable
from cygnid.source.repositories import Repositories, RepositoryFull

log = logging.getLogger("cygnid.git")
MOST_AT_ONCE = 64
_BACKLOG = 64


class GitServer:
    """`folder`: where its socket is. `api_uid`: who may connect besides us; None: nobody else."""

    def __init__(self, repositories: Repositories, *, folder: Path, api_uid: int | None) -> None:
        self._repositories, self._folder, self._api_uid = repositories, folder, api_uid
        self._running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """Answer until the block ends; what was begun is ended first. Whoever listened before hears of nothing new."""
        listener = self._bound()
        accepting = asyncio.create_task(self._accept(listener))
        try:
            yield
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            listener.close()

    async def finish(self) -> None:
        """Wait for what was begun."""
        while self._running:
            await asyncio.wait(self._running)

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.setblocking(False)
        part = self._folder / f"{wire.SOCKET}.{os.getpid()}"
        part.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            with wire.short(part) as path:
                listener.bind(path)
        finally:
            os.umask(before)
        if self._api_uid is not None:
            os.chown(part, self._api_uid, self._api_uid)
        listener.listen(_BACKLOG)
        part.rename(self._folder / wire.SOCKET)
        return listener

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            task = asyncio.create_task(self._serve(connection))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _serve(self, connection: socket.socket) -> None:
        fds: list[int] = []
        with connection:
            try:
                message, fds = await _received(connection)
                if message:
                    await self._answer(connection, msgspec.json.decode(message, type=wire.Request), fds)
            except (BrokenPipeError, ConnectionResetError):
                log.info("the API has left in the middle of a request")
            except Exception:
                log.exception("a request for git failed")
            finally:
                for fd in fds:
                    os.close(fd)

    async def _answer(self, connection: socket.socket, request: wire.Request, fds: list[int]) -> None:
        loop = asyncio.get_running_loop()

        async def reply(message: wire.Reply) -> None:
            await loop.sock_sendall(connection, wire.line(message))

        if isinstance(request, wire.Commit):
            found = await self._repositories.commit(request.project_id, request.sha)
            await reply(wire.Reply(what="commit", commit=None if found is None else asdict(found)))
            return
        if len(self._running) > MOST_AT_ONCE:
            await reply(wire.Reply(what="unavailable", message="Too many people use git here at the moment."))
            return
        body, answer, *hooks = fds
        try:
            running = await self._repositories.begin(
                request.project_id,
                request.variables,
                writes=request.writes,
                body=body,
                answer=answer,
                hook=hooks[0] if hooks else None,
            )
        except RepositoryFull:
            await reply(wire.Reply(what="full"))
            return
        except SourceUnavailable as error:
            await reply(wire.Reply(what="unavailable", message=str(error)))
            return
        finally:
            # the API sees the end of the answer when git has ended, and not when we have
            while fds:
                os.close(fds.pop())
        ending = asyncio.ensure_future(running.wait())
        leaving = asyncio.ensure_future(loop.sock_recv(connection, 1))
        try:
            await reply(wire.Reply(what="started"))
            await asyncio.wait({ending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                ended = ending.result()
                if ended.code != 0:
                    log.info(
                        "git for %s ended with %s: %s", request.project_id, ended.code or ended.signal, running.said
                    )
                await reply(wire.Reply(what="ended", message=running.said, out_of_memory=ended.out_of_memory))
        finally:
            for task in (ending, leaving):
                task.cancel()
            await asyncio.gather(ending, leaving, return_exceptions=True)
            await running.close()


async def _received(connection: socket.socket) -> tuple[bytes, list[int]]:
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    with contextlib.suppress(BlockingIOError):
        message, fds, _, _ = socket.recv_fds(
            connection, wire.MAX_REQUEST_BYTES, wire.DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
        return message, fds
    return b"", []
