"""The ASGI application: every noun's endpoints behind the door of `core/http.py`, and what every answer has."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Never

from litestar.types import Receive, Send

from cygnid.core import db
from cygnid.core.front import Front, asgi
from cygnid.core.http import OPERATIONS, Services
from cygnid.core.ratelimit import Limiter
from cygnid.core.refusals import Refusals
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.docs_site import docs_site
from cygnid.git.door import GitDoor
from cygnid.resources.audit import endpoints as audit
from cygnid.resources.auth import account, device, providers, two_factor
from cygnid.resources.auth import endpoints as auth
from cygnid.resources.billing import endpoints as billing
from cygnid.resources.connections import endpoints as connections
from cygnid.resources.deployments import endpoints as deployments
from cygnid.resources.env import endpoints as env
from cygnid.resources.instances import endpoints as instances
from cygnid.resources.logs import endpoints as logs
from cygnid.resources.permissions import endpoints as permissions
from cygnid.resources.permissions import team_endpoints as teams
from cygnid.resources.platform import endpoints as platform
from cygnid.resources.projects import endpoints as projects
from cygnid.resources.tokens import endpoints as tokens
from cygnid.resources.tokens.last_uses import LastUses
from cygnid.resources.uploads import endpoints as uploads
from cygnid.settings import Settings

NOUNS = (
    platform,
    projects,
    permissions,
    teams,
    connections,
    tokens,
    auth,
    account,
    two_factor,
    device,
    providers,
    audit,
    env,
    logs,
    uploads,
    instances,
    deployments,
    billing,
)
"""Importing a noun's endpoints adds its operations to the table."""


class App:
    """What uvicorn runs. Setting `stopping` ends open streams."""

    def __init__(self, settings: Settings) -> None:
        self.stopping = asyncio.Event()
        self._settings = settings
        self._pool: db.Pool | None = None
        self._last_uses = LastUses()
        self._refusals = Refusals()
        self._background: list[asyncio.Task[Never]] = []
        self._front: Front | None = None
        self._beside: dict[str, Front] = {}
        """What is no API: by the first part of the path."""

    async def start(self) -> None:
        settings = self._settings
        self._pool = await db.connect(settings.database_url, size=settings.pool_size)
        wakeups = Wakeups(settings.database_url)
        self._background = [
            asyncio.create_task(wakeups.run()),
            asyncio.create_task(self._last_uses.keep_writing(self._pool)),
            asyncio.create_task(self._refusals.keep_writing(self._pool)),
        ]
        services = Services(
            settings=settings,
            pool=self._pool,
            secrets=Secrets(settings.key()),
            limiter=Limiter(),
            authenticate=self._last_uses.authenticate,
            wakeups=wakeups,
            stopping=self.stopping,
            refusals=self._refusals,
        )
        self._front = asgi(services, OPERATIONS)
        self._beside = {"git": Front(GitDoor(services)), "docs": Front(docs_site)}

    async def stop(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._pool is not None:
            await self._last_uses.write(self._pool)
            await self._refusals.write(self._pool)
            await self._pool.close()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if self._front is None:
            raise RuntimeError("The application has not been started.")
        await self._beside.get(scope["path"].split("/", 2)[1], self._front)(scope, receive, send)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await self.start()
            await send({"type": "lifespan.startup.complete"})
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def create_app(settings: Settings) -> App:
    return App(settings)


@asynccontextmanager
async def running(settings: Settings) -> AsyncGenerator[App]:
    """The application started in this event loop, for whoever calls it in process."""
    app = create_app(settings)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()
