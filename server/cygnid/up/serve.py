"""`cygnid serve`: the API in one process, on a socket that the supervisor listens on."""

import asyncio
import socket
from contextlib import suppress
from types import FrameType
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cygnid.app import App, create_app
from cygnid.settings import Settings
from cygnid.up.connections import Connection
from cygnid.up.processes import say_ready

_LAST_RESORT_SECONDS = 60
"""After a hand-over, how long a request may go on in the old API; streams are told to end at once."""
_FIRST_REQUEST_SECONDS, _PAUSE = 2.0, 0.05


class _Server(uvicorn.Server):
    """Says when it serves, and tells open streams to end when it shall stop: uvicorn would wait for them for ever."""

    def __init__(self, config: uvicorn.Config, app: App, *, ready: int | None) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            say_ready(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or [])):
            listener.close()
        # A connection that was accepted has a request under way: closed unread, its client would see a reset.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._first_requests(), _FIRST_REQUEST_SECONDS)
        await super().shutdown()

    async def _first_requests(self) -> None:
        await asyncio.sleep(_PAUSE)  # what the kernel gave us last becomes a connection
        connections = cast("set[HttpToolsProtocol]", self.server_state.connections)
        # typed as always there, but None until the first request was read
        while not all(cast("object | None", connection.cycle) for connection in connections):  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(_PAUSE)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.stopping.set()
        super().handle_exit(sig, frame)


def serve(settings: Settings, *, fd: int, ready: int | None) -> None:
    """Serve until SIGTERM; returns when every open request is answered."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        log_level="warning",
        timeout_graceful_shutdown=_LAST_RESORT_SECONDS,
    )
    with socket.socket(fileno=fd) as listener:
        _Server(config, app, ready=ready).run(sockets=[listener])
