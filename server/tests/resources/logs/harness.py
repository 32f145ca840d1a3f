"""A project with files that are read, and a tailer over them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cygnid.core import db
from cygnid.core.actors import SYSTEM
from cygnid.core.db import Pool, Read
from cygnid.core.paging import where
from cygnid.core.wakeups import Wakeups
from cygnid.resources.logs import actions, queries
from cygnid.resources.logs.actions import LogStream
from cygnid.resources.logs.batch import Limits
from cygnid.resources.logs.schemas import LogLine
from cygnid.resources.logs.tailer import Tailer
from tests.make.api import Api


@dataclass(kw_only=True)
class Shop:
    """A project of the first team."""

    pool: Pool
    url: str
    folder: Path
    project_id: str
    environment_id: str
    secrets: set[str] = field(default_factory=set)

    async def secret_values(self, read: Read, project_id: str) -> Iterable[str]:
        return self.secrets

    def tailer(self, wakeups: Wakeups | None = None, limits: Limits | None = None) -> Tailer:
        return Tailer(
            self.pool,
            wakeups or Wakeups(self.url),
            access_log=self.folder / "access.log",
            secret_values=self.secret_values,
            limits=limits,
        )

    @asynccontextmanager
    async def tailing(self, limits: Limits | None = None) -> AsyncIterator[None]:
        """A tailer that runs as in the worker."""
        wakeups = Wakeups(self.url)
        tasks = [asyncio.create_task(wakeups.run()), asyncio.create_task(self.tailer(wakeups, limits).run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended

    async def open(self, name: str = "app.out", **fields: Any) -> Path:
        path = self.folder / name
        async with db.begin(self.pool) as tx:
            await actions.open_stream(tx, self.stream(path, **fields))
        return path

    def stream(self, path: Path, **fields: Any) -> LogStream:
        given: dict[str, Any] = {
            "source": "app",
            "stream": "stdout",
            "project_id": self.project_id,
            "environment": "production",
            "environment_id": self.environment_id,
            "deployment_id": None,
        }
        return LogStream(path=path, **given | fields)

    async def deployed(self, deployment_id: str) -> None:
        """The row of a deployment, which has ended."""
        async with db.begin(self.pool) as tx:
            await tx.execute(
                """INSERT INTO deployments (id, project_id, environment_id, environment, type, trigger, status,
                       strategy, labels, source, nonce, steps, finished_at, created_at, updated_at, created_by)
                   VALUES ($1, $2, $3, 'production', 'deploy', 'api', 'success', 'rolling', '{}', '{}', '', '[]', now(),
                       now(), now(), 'system')""",
                deployment_id,
                self.project_id,
                self.environment_id,
            )

    async def close(self, path: Path) -> None:
        async with db.begin(self.pool) as tx:
            await actions.close_stream(tx, path)

    async def lines(self) -> list[LogLine]:
        """All of them, oldest first."""
        async with db.read(self.pool) as read:
            conditions = [where("project_id = $1", self.project_id)]
            return list(await queries.lines_between(read, conditions, "log_0", "log_z", 1_000_000))

    async def messages(self) -> list[str]:
        return [line.message for line in await self.lines()]

    async def see(self, count: int, seconds: float = 20) -> list[LogLine]:
        """Wait until there are so many lines."""
        async with asyncio.timeout(seconds):
            while len(found := await self.lines()) < count:
                await asyncio.sleep(0.02)
        return found

    async def streams(self) -> list[queries.StreamRow]:
        async with db.read(self.pool) as read:
            return [row for row in await queries.streams(read) if row.source != "request"]


@asynccontextmanager
async def shop_of(api: Api, folder: Path, name: str = "shop") -> AsyncIterator[Shop]:
    project, environment = await make_project(api.pool, api.team_id, name)
    yield Shop(
        pool=api.pool, url=api.settings.database_url, folder=folder, project_id=project, environment_id=environment
    )


async def make_project(pool: Pool, team_id: str, name: str) -> tuple[str, str]:
    """(id, id of its production environment)."""
    from cygnid.core.access import TeamAccess
    from cygnid.resources.projects import actions as projects
    from cygnid.resources.projects import queries as stored

    async with db.begin(pool) as tx:
        access = TeamAccess(actor=SYSTEM, team_id=team_id, permissions=frozenset())
        project = await projects.create_project(tx, access, name=name)
        environment = await stored.environment(tx, project.id, "production")
        assert environment is not None
        return project.id, environment.id
