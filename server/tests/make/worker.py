"""An installation that deploys: the API, a leader's reconcilers and workers in this process, over fakes of the outside.

A worker can be lost as by `kill -9`: what it wrote stays, what it held lapses, nothing is given back.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cygni import AsyncCygniClient
from cygnid.backends import Backends
from cygnid.core import db
from cygnid.core.ids import new_id
from cygnid.core.reconcile import reconcilers_in, run_reconcilers
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.core.work import Worker
from cygnid.edge.base import EdgeAnswer, HttpProtocol, Route
from cygnid.resources.deployments import tasks as deployments
from cygnid.resources.instances import tasks as instances
from cygnid.resources.logs import tasks as logs
from cygnid.resources.routes import tasks as routes
from cygnid.resources.uploads import queries as uploads
from cygnid.source.base import ArchiveSpec, GitSpec, Tree
from tests.fakes.builder import FakeBuilder
from tests.fakes.edge import FakeEdge
from tests.fakes.runtime import FakeRuntime
from tests.fakes.source import FakeSource
from tests.make.api import Api
from tests.make.stage import APP, LIMIT, Unused, until

LEASE_SECONDS = 1.0
ENDS = ("success", "failed", "canceled", "superseded")
WEB = {"app.py": APP, "Procfile": "web: exec python3 app.py\n"}
"""See `stage.APP`: it answers which deployment it is of, and 503 while its environment's data folder has `sick`."""
STATIC = {"index.html": "<h1>hello</h1>"}


class HeldSource(FakeSource):
    """A fetch waits while `hold` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.hold: asyncio.Event | None = None

    async def fetch(self, spec: ArchiveSpec | GitSpec, into: Path) -> Tree:
        if self.hold is not None:
            await self.hold.wait()
        return await super().fetch(spec, into)


class HeldEdge(FakeEdge):
    """Probes wait while `hold` is set, and have `answer` instead of their own while that is."""

    def __init__(self, *, releases: Path) -> None:
        super().__init__(releases=releases)
        self.hold: asyncio.Event | None = None
        self.answer: EdgeAnswer | None = None

    async def probe(self, host: str, path: str, *, protocol: HttpProtocol = "http1") -> EdgeAnswer:
        if self.hold is not None:
            await self.hold.wait()
        return self.answer or await super().probe(host, path, protocol=protocol)

    def route(self, host: str) -> Route | None:
        return next((route for route in self.routes if host in route.hosts), None)


@dataclass
class Running:
    """One worker, with connections of its own."""

    pool: db.Pool
    task: asyncio.Task[None]

    async def lose(self) -> None:
        """It writes nothing more, not even that it ends."""
        self.pool.terminate()
        await self._ended()

    async def stop(self) -> None:
        """As at SIGTERM, in a hurry: what it worked on is given back."""
        await self._ended()
        self.pool.terminate()

    async def _ended(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@dataclass(kw_only=True)
class Installation:
    api: Api
    backends: Backends
    folder: Path
    source: HeldSource
    builder: FakeBuilder
    edge: HeldEdge
    workers: list[Running] = field(default_factory=list[Running])

    async def worker(self) -> Running:
        """One more worker."""
        pool = await db.connect(self.api.settings.database_url, size=4)
        backends = replace(self.backends, pool=pool)
        worker = Worker(
            deployments.run_deployment,
            backends,
            pool,
            backends.wakeups,
            lease_seconds=LEASE_SECONDS,
            look_seconds=LEASE_SECONDS,
        )
        running = Running(pool, asyncio.create_task(worker.run()))
        self.workers.append(running)
        return running

    async def project(self, client: AsyncCygniClient, name: str = "shop", **fields: object) -> Any:
        return (await client.request("POST", "/projects", json={"name": name, **fields})).data

    async def upload(self, files: Mapping[str, str], *, by: str | None = None) -> str:
        """The id of a complete upload that is unpacked to these files. `by`: the owner of the first team, or another
        user."""
        content = json.dumps(files, sort_keys=True).encode()
        digest, upload_id = hashlib.sha256(content).hexdigest(), new_id("upl")
        self.source.trees[digest] = files
        uploads.path(self.api.settings, upload_id).write_bytes(content)
        await self.execute(
            """INSERT INTO uploads (id, status, content_type, size_bytes, sha256, received_bytes, expires_at,
                   created_at, updated_at, created_by)
               VALUES ($1, 'complete', 'application/gzip', $2, $3, $2, now() + interval '1 day', now(), now(), $4)""",
            upload_id,
            len(content),
            digest,
            by or self.api.owner_id,
        )
        return upload_id

    async def deploy(
        self, client: AsyncCygniClient, files: Mapping[str, str] | None = None, project: str = "shop", **fields: object
    ) -> str:
        """The id of a new deployment, of `files` unless `fields` name another source."""
        if files is not None:
            fields["uploadId"] = await self.upload(files)
        return (await client.request("POST", "/deployments", json={"projectId": project, **fields})).data["id"]

    async def get(self, client: AsyncCygniClient, deployment_id: str) -> Any:
        return (await client.request("GET", f"/deployments/{deployment_id}")).data

    async def status(self, client: AsyncCygniClient, deployment_id: str, *statuses: str) -> Any:
        """The deployment, once it is in one of these."""
        return await self._when(client, deployment_id, lambda status, _: status in statuses)

    async def step(self, client: AsyncCygniClient, deployment_id: str, name: str) -> Any:
        """The deployment, once this step runs."""
        return await self._when(
            client,
            deployment_id,
            lambda _, running: name in running,
        )

    async def end(self, client: AsyncCygniClient, deployment_id: str) -> Any:
        return await self.status(client, deployment_id, *ENDS)

    async def live(self, client: AsyncCygniClient, files: Mapping[str, str] | None = None, **fields: Any) -> str:
        """The id of a deployment that has succeeded."""
        deployment_id = await self.deploy(client, WEB if files is None and not fields else files, **fields)
        ended = await self.end(client, deployment_id)
        assert ended["status"] == "success", ended["failure"]
        return deployment_id

    async def served(self, host: str = "shop.localhost", path: str = "/") -> EdgeAnswer:
        """What a visitor gets."""
        return await FakeEdge.probe(self.edge, host, path)

    async def serves(self) -> set[str]:
        """The deployments whose instances are behind the routes."""
        found: set[str] = set()
        for route in self.edge.routes:
            for endpoint in getattr(route.target, "endpoints", ()):
                found.add(await self._said(endpoint.host, endpoint.port))
        return found

    async def running(self) -> set[str]:
        """The deployments of which an instance runs."""
        alive = {each.id for each in await self.backends.runtime.observe() if each.running}
        async with db.read(self.api.pool) as reader:
            found: list[str] | None = await reader.value(
                "SELECT array_agg(DISTINCT deployment_id) FROM instances WHERE id = ANY($1)", list(alive)
            )
        return set(found or ())

    async def only(self, *deployment_ids: str) -> None:
        """Wait until instances of these deployments run, and no other."""
        expected = set(deployment_ids)

        async def so() -> bool:
            return await self.running() == expected

        await until(so)

    def data(self, environment_id: str) -> Path:
        """The persistent folder of an environment."""
        folder = self.folder / "data" / environment_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def value(self, sql: str, *values: object) -> Any:
        async with db.read(self.api.pool) as reader:
            return await reader.value(sql, *values)

    async def execute(self, sql: str, *values: object) -> None:
        async with db.begin(self.api.pool) as tx:
            await tx.execute(sql, *values)

    async def _when(
        self, client: AsyncCygniClient, deployment_id: str, condition: Callable[[str, list[str]], bool]
    ) -> Any:
        """`condition` is asked with the status and the names of the steps that run."""
        async with asyncio.timeout(LIMIT):
            while True:
                found = await self.get(client, deployment_id)
                running = [step["name"] for step in found["steps"] if step["status"] == "running"]
                if condition(found["status"], running):
                    return found
                assert found["status"] not in ENDS, (found["status"], found["failure"])
                await asyncio.sleep(0.01)

    async def _said(self, host: str, port: int) -> str:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), LIMIT)
        writer.close()
        return answer.rpartition(b"\r\n\r\n")[2].decode()


@asynccontextmanager
async def installed(api: Api, folder: Path) -> AsyncGenerator[Installation]:
    """With a leader and one worker. `folder`: what the fake runtime calls the machine."""
    home = api.settings.home
    for name in ("logs/instances", "logs/deployments", "artifacts", "edge", "uploads"):
        (home / name).mkdir(parents=True, exist_ok=True)
    source, builder, edge = HeldSource(), FakeBuilder(home), HeldEdge(releases=home / "artifacts")
    await edge.supervise(term=0)
    wakeups = Wakeups(api.settings.database_url)
    runtime = FakeRuntime(folder)
    backends = Backends(
        settings=api.settings,
        pool=api.pool,
        secrets=Secrets(api.settings.key()),
        wakeups=wakeups,
        source=source,
        repositories=Unused(),  # type: ignore[arg-type]
        builder=builder,
        runtime=runtime,
        edge=edge,
        term=lambda: 1,
    )
    made = Installation(api=api, backends=backends, folder=folder, source=source, builder=builder, edge=edge)
    listening = asyncio.create_task(wakeups.run())
    found = reconcilers_in([deployments, instances, routes, logs])
    leading = asyncio.create_task(run_reconcilers(found, backends, wakeups, backoff_seconds=0.1))
    await made.worker()
    try:
        yield made
    finally:
        for worker in made.workers:
            await worker.stop()
        for task in (leading, listening):
            task.cancel()
        await asyncio.gather(leading, listening, return_exceptions=True)
        await runtime.end_all()
