"""An installation whose instances run and whose edge has routes, driven by the reconcilers as a leader runs them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from cygni import AsyncCygniClient
from cygnid.backends import Backends
from cygnid.build.base import ProcessPlan
from cygnid.core import changes, db
from cygnid.core.actors import SYSTEM
from cygnid.core.reconcile import Reconciler, run_reconcilers
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.edge.base import Edge
from cygnid.resources.instances import actions, queries
from cygnid.resources.instances.queries import InstanceRow
from cygnid.resources.instances.schemas import ReleaseSpec
from cygnid.resources.instances.tasks import check_instances, run_instances
from cygnid.resources.projects.actions import subject
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow
from cygnid.resources.routes import actions as routes
from cygnid.resources.routes.tasks import publish_routes
from cygnid.runtime.base import Runtime
from tests.fakes.edge import FakeEdge
from tests.fakes.runtime import FakeRuntime
from tests.make.api import Api
from tests.make.releases import environment_of, make_project, release_of

LIMIT = 60
"""Seconds that anything may take before a test calls it stuck."""
APP = """
import os, socket, threading
data = os.environ["CYGNI_DATA_DIR"]
def serve(client):
    path = client.recv(65536).decode().split(" ")[1]
    if path.startswith("/exit/"):
        os._exit(int(path[6:]))
    if path == "/hold":
        client.recv(1)
    status = 503 if os.path.exists(data + "/sick") else 200
    body = os.environ["CYGNI_DEPLOYMENT_ID"]
    head = f"HTTP/1.1 {status} x\\r\\nContent-Length: {len(body)}\\r\\nConnection: close"
    client.sendall(f"{head}\\r\\n\\r\\n{body}".encode())
    client.close()
server = socket.create_server(("0.0.0.0", int(os.environ["PORT"])))
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
"""Says which release it is; 503 while its environment's data folder has a file `sick`; holds on to who asks /hold."""


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(LIMIT):
        while True:
            value = condition()
            if value if isinstance(value, bool) else await value:
                return
            await asyncio.sleep(0.01)


@dataclass(kw_only=True)
class Stage:
    api: Api
    backends: Backends
    folder: Path
    files: dict[str, str] = field(default_factory=lambda: {"app.py": APP})

    @property
    def runtime(self) -> Any:
        return self.backends.runtime

    @property
    def edge(self) -> Any:
        return self.backends.edge

    async def owner(self) -> AsyncCygniClient:
        return await self.api.owner()

    @asynccontextmanager
    async def leading(
        self, *reconcilers: Reconciler, backends: Backends | None = None
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """Run them, all by default, until the block ends."""
        chosen = reconcilers or (run_instances, check_instances, publish_routes)
        found = backends or self.backends
        task = asyncio.create_task(run_reconcilers(chosen, found, found.wakeups, backoff_seconds=0.1))
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def project(self, name: str = "shop", **others: object) -> "Place":
        project = await make_project(self.api.pool, self.api.team_id, name, **others)
        return Place(stage=self, project=project, environment=await environment_of(self.api.pool, project))

    async def rows(self) -> dict[str, InstanceRow]:
        """Every instance of which something may be left, by id."""
        async with db.read(self.api.pool) as reader:
            return {row.id: row for row in await queries.held(reader)}

    async def row(self, instance_id: str) -> InstanceRow:
        return (await self.rows())[instance_id]

    async def running(self) -> set[str]:
        return {each.id for each in await self.runtime.observe() if each.running}

    async def execute(self, sql: str, *values: object) -> None:
        async with db.begin(self.api.pool) as tx:
            await tx.execute(sql, *values)

    async def record(self, event: str, project: ProjectRow, sql: str) -> None:
        """What the projects noun does: change the row `$1`, record the change."""
        async with db.begin(self.api.pool) as tx:
            await tx.execute(sql, project.id)
            await changes.record(tx, SYSTEM, event, subject(project))

    async def events(self, *types: str) -> list[tuple[str, str]]:
        """(type, data) of the changes of these types, oldest first."""
        async with db.read(self.api.pool) as reader:
            rows = await reader.all(
                _Change, "SELECT type, data FROM changes WHERE type = ANY($1) ORDER BY number", list(types)
            )
        return [(row.type, row.data) for row in rows]

    async def reboot(self) -> None:
        """Every process is gone, and the machine remembers none."""
        await self.runtime.end_all()
        self.backends = replace(self.backends, runtime=FakeRuntime(self.folder))


@dataclass(kw_only=True)
class Place:
    """One project's production environment."""

    stage: Stage
    project: ProjectRow
    environment: EnvironmentRow

    async def release(self, *plans: ProcessPlan, **fields: object) -> ReleaseSpec:
        """A new release of the stage's files. Nothing is stored."""
        async with db.begin(self.stage.api.pool) as tx:
            chosen = {"plans": plans} if plans else {}
            release = await release_of(tx, self.project, self.environment, **chosen, **fields)  # type: ignore[arg-type]
        if "path" in fields:
            return release
        folder = self.stage.backends.settings.home / "releases" / release.deployment_id
        for name, content in self.stage.files.items():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        return msgspec.structs.replace(release, path=str(folder))

    async def want(self, release: ReleaseSpec) -> list[str]:
        async with db.begin(self.stage.api.pool) as tx:
            return await actions.want(tx, release)

    async def switch(self, release: ReleaseSpec | None) -> int:
        async with db.begin(self.stage.api.pool) as tx:
            return await routes.switch(
                tx,
                self.stage.api.settings,
                self.project,
                self.environment,
                release and release.deployment_id,
            )

    async def go_live(self, release: ReleaseSpec) -> None:
        async with db.begin(self.stage.api.pool) as tx:
            await actions.go_live(tx, release.deployment_id)

    async def live(self, *plans: ProcessPlan, **fields: object) -> tuple[ReleaseSpec, list[str]]:
        """A release that is wanted, switched to and live, without waiting for anything; and its instances."""
        release = await self.release(*plans, **fields)
        ids = await self.want(release)
        await self.switch(release)
        await self.go_live(release)
        return release, ids

    async def status(self, instance_ids: Sequence[str], *statuses: str) -> None:
        """Wait until all of them are in one of these."""

        async def so() -> bool:
            rows = await self.stage.rows()
            return all(each in rows and rows[each].status in statuses for each in instance_ids)

        await until(so)

    def mark_sick(self) -> Path:
        """From now on its instances answer 503."""
        file = self.stage.folder / "data" / self.environment.id / "sick"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        return file


class _Change(msgspec.Struct, frozen=True):
    type: str
    data: str


class Unused:
    """Stands for what a test does not need; whoever touches it is told."""


@asynccontextmanager
async def staged(
    api: Api, folder: Path, *, runtime: Runtime | None = None, edge: Edge | None = None
) -> AsyncIterator[Stage]:
    """`folder`: what the fake runtime calls the machine."""
    wakeups = Wakeups(api.settings.database_url)
    releases = api.settings.home / "releases"
    (api.settings.home / "logs" / "instances").mkdir(parents=True)
    releases.mkdir()
    fake = FakeEdge(releases=releases)
    await fake.supervise(term=0)
    backends = Backends(
        settings=api.settings,
        pool=api.pool,
        secrets=Secrets(api.settings.key()),
        wakeups=wakeups,
        source=Unused(),  # type: ignore[arg-type]
        repositories=Unused(),  # type: ignore[arg-type]
        builder=Unused(),  # type: ignore[arg-type]
        runtime=runtime or FakeRuntime(folder),
        edge=edge or fake,
        term=lambda: 1,
    )
    stage = Stage(api=api, backends=backends, folder=folder)
    listening = asyncio.create_task(wakeups.run())
    try:
        yield stage
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        for each in await stage.runtime.observe():
            await stage.runtime.forget(each.id, term=1 << 60)
        if isinstance(stage.runtime, FakeRuntime):
            await stage.runtime.end_all()
