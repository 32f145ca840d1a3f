"""`cygnid serve`: the API in one process, on a socket that the supervisor listens on."""

import socket
from types import FrameType

import uvicorn

from cygnid.app import App, create_app
from cygnid.settings import Settings
from cygnid.up.processes import say_ready

_LAST_RESORT_SECONDS = 5


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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.stopping.set()
        super().handle_exit(sig, frame)


def serve(settings: Settings, *, fd: int, ready: int | None) -> None:
    """Serve until SIGTERM; returns when every open request is answered."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
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
