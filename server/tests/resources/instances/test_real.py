"""Real processes behind the real edge: nobody notices that releases, sizes and instances change."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from cygnid.build.base import ProcessPlan
from cygnid.core import db
from cygnid.resources.instances import actions
from cygnid.resources.instances.schemas import ReleaseSpec
from cygnid.resources.routes import queries as routes
from cygnid.runtime.base import Address
from cygnid.runtime.process.runtime import ProcessRuntime
from tests.edge import harness as edge
from tests.make.api import api_of
from tests.make.stage import LIMIT, Place, Stage, staged, until
from tests.sandbox import harness as sandbox

WEB = ProcessPlan(type="web", command="exec python3 app.py", instances=2)


@dataclass
class Visitors:
    """Ask for the page without a pause, each on a new connection."""

    port: int
    seen: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])

    @asynccontextmanager
    async def asking(self, count: int = 2) -> AsyncIterator["Visitors"]:
        tasks = [asyncio.create_task(self._ask()) for _ in range(count)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in ended] == [asyncio.CancelledError] * count

    async def _ask(self) -> None:
        while True:
            answer = await edge.get(self.port, "shop.localhost")
            self.seen.append((answer.status, answer.body))
            await asyncio.sleep(0.005)

    async def more(self) -> None:
        """Wait until what happened has been seen."""
        count = len(self.seen) + 20
        await until(lambda: len(self.seen) >= count)


@dataclass
class Installation:
    stage: Stage
    place: Place
    port: int

    async def get(self) -> tuple[int, bytes]:
        answer = await edge.get(self.port, "shop.localhost")
        return answer.status, answer.body

    async def deploy(self) -> ReleaseSpec:
        """As a deployment does it: start beside the old, judge, switch, wait for the edge, go live."""
        release = await self.place.release(WEB)
        for each in await self.place.want(release):
            await until(lambda each=each: self._answers(each))
            async with db.begin(self.stage.api.pool) as tx:
                await actions.set_healthy(tx, each)
        version = await self.place.switch(release)
        await until(lambda: self._is_confirmed(version))
        await self.place.go_live(release)
        return release

    async def count(self, count: int) -> None:
        """Wait until exactly so many run, all of them well, and nothing is left of others."""

        async def so() -> bool:
            rows = await self.stage.rows()
            return len(rows) == len(await self.stage.running()) == count and all(
                row.status == "running" for row in rows.values()
            )

        await until(so)

    async def _answers(self, instance_id: str) -> bool:
        row = await self.stage.row(instance_id)
        if row.host is None or row.port is None:
            return False
        address = Address(host=row.host, port=row.port)
        probe = await self.stage.runtime.probe(
            address, host="a", path="/", protocol="http1", scheme="http", timeout_seconds=LIMIT
        )
        return probe.status == 200

    async def _is_confirmed(self, version: int) -> bool:
        async with db.read(self.stage.api.pool) as reader:
            return await routes.confirmed(reader) >= version


@pytest.fixture
async def installation(database_url: str) -> AsyncIterator[Installation]:
    uid_base = sandbox.some_uid()
    async with (
        sandbox.staged() as machine,
        edge.staged() as front,
        api_of(database_url, machine.folder / "home", uid_base=uid_base) as api,
    ):
        folder = machine.folder / f"machine-{secrets.token_hex(4)}"
        for made in (folder, machine.folder / "home"):
            made.mkdir(exist_ok=True)
            made.chmod(0o711)
        runtime = ProcessRuntime(folder=folder, sandbox=await machine.open())
        await runtime.prepare()
        async with staged(api, folder, runtime=runtime, edge=front.edge) as stage, stage.leading():
            yield Installation(stage, await stage.project(), front.port)


async def test_releases_are_switched_and_scaled_without_a_failed_request(installation: Installation) -> None:
    first = await installation.deploy()
    assert await installation.get() == (200, first.deployment_id.encode())
    visitors, owner = Visitors(installation.port), await installation.stage.owner()
    async with visitors.asking():
        await visitors.more()
        second = await installation.deploy()
        await installation.count(2)
        await visitors.more()
        for count in (3, 1):
            await owner.request("PATCH", "/projects/shop/processes/web", json={"instances": count})
            await installation.count(count)
            await visitors.more()
    assert {status for status, _ in visitors.seen} == {200}
    assert {body for _, body in visitors.seen} == {release.deployment_id.encode() for release in (first, second)}


async def test_it_crashes_and_comes_back_and_pauses_and_resumes(installation: Installation) -> None:
    release = await installation.deploy()
    good = (200, release.deployment_id.encode())
    for _ in range(2):
        with pytest.raises((asyncio.IncompleteReadError, AssertionError)):
            assert (await edge.get(installation.port, "shop.localhost", "/exit/3")).status == 200
    await until(lambda: _restarted(installation.stage))
    await installation.count(2)
    assert await installation.get() == good
    owner = await installation.stage.owner()
    await owner.request("POST", "/projects/shop/pause")
    await until(lambda: _is(installation, 503))
    await until(lambda: _none_runs(installation.stage))
    await owner.request("POST", "/projects/shop/resume")
    await installation.count(2)
    await until(lambda: _is(installation, 200))
    assert await installation.get() == good


async def _restarted(stage: Stage) -> bool:
    return any(row.restarts for row in (await stage.rows()).values())


async def _is(installation: Installation, status: int) -> bool:
    return (await installation.get())[0] == status


async def _none_runs(stage: Stage) -> bool:
    return await stage.running() == set()
