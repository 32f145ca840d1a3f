"""Instances become what is wanted of them, on a machine without walls."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cygnid.build.base import ProcessPlan
from cygnid.core.access import ALL
from cygnid.core.actors import SYSTEM
from cygnid.core.db import begin
from cygnid.edge.base import App
from cygnid.resources.env import actions as env
from cygnid.resources.env import pins
from cygnid.resources.env.schemas import EnvType
from cygnid.resources.instances import actions
from cygnid.resources.instances.tasks import run_instances
from cygnid.resources.projects.access import ProjectAccess
from cygnid.runtime.base import Address, InstanceSpec, Observed, StaleLeader
from tests.fakes.runtime import FakeRuntime
from tests.make.stage import LIMIT, Place, Stage, until

WEB = ProcessPlan(type="web", command="exec python3 app.py")
STAY = ProcessPlan(type="worker", command="exec sleep 1000")


def exits(code: int) -> ProcessPlan:
    return ProcessPlan(type="worker", command=f"echo said; exit {code}")


async def ask(stage: Stage, instance_id: str, path: str) -> None:
    row = await stage.row(instance_id)
    assert row.host
    assert row.port
    await stage.runtime.probe(
        Address(host=row.host, port=row.port),
        host="a",
        path=path,
        protocol="http1",
        scheme="http",
        timeout_seconds=LIMIT,
    )


async def test_what_is_wanted_is_started(stage: Stage) -> None:
    place = await stage.project()
    release = await place.release(WEB, STAY)
    async with stage.leading(run_instances):
        ids = await place.want(release)
        await until(lambda: _all_started(stage, ids))
        rows = await stage.rows()
        assert await stage.running() == set(ids)
        for row in rows.values():
            assert (row.status, row.on_trial) == ("starting", True)
            assert (row.port is None) == (row.process == "worker")
            assert row.node


async def _all_started(stage: Stage, ids: list[str]) -> bool:
    rows = await stage.rows()
    return all(rows[each].started_at is not None for each in ids)


async def test_it_knows_where_it_is_and_what_was_pinned(stage: Stage) -> None:
    place = await stage.project()
    access = ProjectAccess(actor=SYSTEM, team_id=stage.api.team_id, permissions=ALL, project=place.project)
    command = 'echo "$CYGNI_PROJECT $CYGNI_ENVIRONMENT $CYGNI_DEPLOYMENT_ID $CYGNI_URL $TOKEN $MODE"; cat "$CERT"'
    mode = {"MODE": "of the artifact", "TOKEN": "of the artifact", "CYGNI_PROJECT": "of the artifact"}
    release = await place.release(ProcessPlan(type="worker", command=f"{command}; exec sleep 1000"), env=mode)
    given: dict[str, tuple[EnvType, str]] = {"TOKEN": ("secret", "s3cret"), "CERT": ("file", "line\nline\n")}
    async with begin(stage.api.pool) as tx:
        for key, (kind, value) in given.items():
            await env.create(
                tx, stage.backends.secrets, access, key=key, value=value, environments=["production"], type=kind
            )
        await pins.pin(tx, place.environment, release.deployment_id)
    async with stage.leading(run_instances):
        (name,) = await place.want(release)
        said = stage.backends.settings.home / "logs" / "instances" / f"{name}.out"
        await until(lambda: said.exists() and said.read_text().count("\n") == 3)
    first, *rest = said.read_text().splitlines()
    assert first == f"shop production {release.deployment_id} http://shop.localhost:8001 s3cret of the artifact"
    assert rest == ["line", "line"]


async def test_a_crash_is_told_and_made_up_for(stage: Stage) -> None:
    place = await stage.project()
    async with stage.leading(run_instances):
        _, (name,) = await place.live(WEB)
        await until(lambda: _all_started(stage, [name]))
        await until(lambda: _listens(stage, name))
        await ask(stage, name, "/exit/3")
        await place.status([name], "crashed")
        row = await stage.row(name)
        assert (row.exit_code, row.exit_signal, row.exit_reason, row.host) == (3, None, "crashed", None)

        async def again() -> bool:
            row = await stage.row(name)
            return row.restarts == 1 and row.started_at is not None

        await until(again)
    (event,) = await stage.events("instance.crashed")
    assert '"exitCode":3' in event[1]
    row = await stage.row(name)
    assert row.exit_code == 3
    assert row.crashes == 1


async def _listens(stage: Stage, name: str) -> bool:
    return any(each.id == name and each.listening == "reachable" for each in await stage.runtime.observe())


@pytest.mark.parametrize(("code", "reason"), [(0, "exited"), (7, "crashed")])
async def test_it_is_started_again_after_any_exit_with_longer_pauses(stage: Stage, code: int, reason: str) -> None:
    place = await stage.project()
    async with stage.leading(run_instances):
        _, (name,) = await place.live(exits(code))

        async def twice() -> bool:
            row = await stage.row(name)
            return row.crashes == 2 and row.status == "crashed"

        await until(twice)
        row = await stage.row(name)
        assert row.exit_reason == reason
        assert row.exit_at
        assert row.retry_at
        assert (row.retry_at - row.exit_at).total_seconds() > 1.9


async def test_on_trial_it_is_not_started_again(stage: Stage) -> None:
    place = await stage.project()
    release = await place.release(exits(1))
    async with stage.leading(run_instances):
        (name,) = await place.want(release)
        await place.status([name], "crashed")
    await asyncio.wait_for(run_instances(stage.backends), LIMIT)
    assert (await stage.row(name)).restarts == 0


async def test_what_cannot_be_made_says_why(stage: Stage) -> None:
    place = await stage.project()
    release = await place.release(STAY, root="missing")
    (name,) = await place.want(release)
    await asyncio.wait_for(run_instances(stage.backends), LIMIT)
    row = await stage.row(name)
    assert row.status == "crashed"
    assert row.message == "could not be started: The folder missing is not in the release."


PAUSES = [
    ("project.paused", "UPDATE projects SET paused_at = now() WHERE id = $1",
     "project.resumed", "UPDATE projects SET paused_at = NULL WHERE id = $1"),
    ("project.deleted", "UPDATE projects SET deleted_at = now(), purge_at = now() WHERE id = $1",
     "project.restored", "UPDATE projects SET deleted_at = NULL, purge_at = NULL WHERE id = $1"),
    ("environment.deleted", "UPDATE environments SET deleted_at = now(), purge_at = now() WHERE project_id = $1",
     "environment.restored", "UPDATE environments SET deleted_at = NULL, purge_at = NULL WHERE project_id = $1"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "sql", "back", "undo"), PAUSES, ids=[each[0] for each in PAUSES])
async def test_what_is_paused_or_deleted_stops_and_comes_back(
    stage: Stage, event: str, sql: str, back: str, undo: str
) -> None:
    place = await stage.project()
    async with stage.leading(run_instances):
        _, ids = await place.live(WEB, STAY)
        await until(lambda: _all_started(stage, ids))
        await stage.record(event, place.project, sql)
        await place.status(ids, "stopped")
        assert await stage.running() == set()
        assert {row.exit_reason for row in (await stage.rows()).values()} == {"stopped"}
        await stage.record(back, place.project, undo)
        await until(lambda: _all_started(stage, ids))
        assert await stage.running() == set(ids)
        assert {row.restarts for row in (await stage.rows()).values()} == {0}


async def test_after_a_reboot_everything_runs_again(stage: Stage) -> None:
    place = await stage.project()
    async with stage.leading(run_instances):
        _, ids = await place.live(WEB, STAY)
        trial = await place.want(await place.release(STAY))
        await until(lambda: _all_started(stage, [*ids, *trial]))
    await stage.reboot()
    async with stage.leading(run_instances):

        async def runs() -> bool:
            return await stage.running() == set(ids)

        await until(runs)
        await until(lambda: _all_started(stage, ids))
        await place.status(trial, "crashed")
    assert await stage.events("instance.crashed") == []


class Slow(FakeRuntime):
    """Starts of these environments wait for `go`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.slow: set[str] = set()
        self.go = asyncio.Event()
        self.starts: list[str] = []

    async def start(self, spec: InstanceSpec, *, term: int) -> Address | None:
        self.starts.append(spec.id)
        if spec.environment_id in self.slow:
            await self.go.wait()
        return await super().start(spec, term=term)


async def test_a_slow_start_or_stop_holds_up_nobody(stage: Stage) -> None:
    runtime = Slow(stage.folder)
    stage.backends = replace(stage.backends, runtime=runtime)
    slow, stubborn, quick = await stage.project("slow"), await stage.project("stubborn"), await stage.project("quick")
    runtime.slow = {slow.environment.id}
    async with stage.leading(run_instances):
        _, waiting = await slow.live(STAY)
        await until(lambda: runtime.starts == waiting)
        _, deaf = await stubborn.live(ProcessPlan(type="worker", command="trap '' TERM; while :; do sleep 1; done"))
        await until(lambda: _all_started(stage, deaf))
        await stage.record("project.paused", stubborn.project, PAUSES[0][1])
        await stubborn.status(deaf, "stopping")
        _, ids = await quick.live(WEB, STAY)
        await until(lambda: _all_started(stage, ids))
        assert (await stage.row(waiting[0])).started_at is None
        assert (await stage.row(deaf[0])).status == "stopping"
        assert runtime.starts.count(waiting[0]) == 1
        runtime.go.set()
        await until(lambda: _all_started(stage, waiting))
    assert runtime.starts.count(waiting[0]) == 1


async def test_a_drained_instance_finishes_what_it_was_asked(stage: Stage) -> None:
    place = await stage.project()
    async with stage.leading():
        release, (busy, idle) = await place.live(replace(WEB, instances=2))
        await place.status([busy, idle], "running")
        row = await stage.row(busy)
        reader, writer = await asyncio.open_connection(row.host, row.port)
        writer.write(b"GET /hold HTTP/1.1\r\n\r\n")
        await writer.drain()
        async with begin(stage.api.pool) as tx:
            await actions.retire(tx, place.environment.id, but=None)
        await until(lambda: _gone(stage, idle))
        assert busy in await stage.running()
        assert (await stage.row(busy)).status == "stopping"
        writer.write(b"x")
        assert (await asyncio.wait_for(reader.read(), LIMIT)).startswith(b"HTTP/1.1 200")
        writer.close()
        await until(lambda: _gone(stage, busy))
    assert release.deployment_id


async def _gone(stage: Stage, instance_id: str) -> bool:
    return instance_id not in await stage.rows() and instance_id not in await stage.running()


async def test_it_is_drained_only_once_the_edge_has_confirmed(stage: Stage) -> None:
    place = await stage.project()
    async with stage.leading():
        _, (name,) = await place.live(WEB)
        await place.status([name], "running")
        await until(lambda: _routed(stage, 1))
    async with begin(stage.api.pool) as tx:
        await actions.retire(tx, place.environment.id, but=None)
    async with stage.leading(run_instances):
        await place.want(await (await stage.project("other")).release(STAY))
        await until(lambda: _runs(stage, 2))
        assert (await stage.row(name)).left_routes_at is None
        assert name in await stage.running()
        async with stage.leading():
            await until(lambda: _gone(stage, name))


def _routed(stage: Stage, count: int) -> bool:
    return [len(route.target.endpoints) for route in stage.edge.routes if isinstance(route.target, App)] == [count]


async def _runs(stage: Stage, count: int) -> bool:
    return len(await stage.running()) == count


async def test_a_stale_leader_does_nothing(stage: Stage) -> None:
    await stage.runtime.forget("inst_nothing", term=5)
    place = await stage.project()
    (name,) = await place.want(await place.release(STAY))
    with pytest.raises(StaleLeader):
        await asyncio.wait_for(run_instances(stage.backends), LIMIT)
    assert await stage.running() == set()
    assert (await stage.row(name)).status == "starting"


async def test_a_leader_that_died_before_it_stored_the_address(stage: Stage) -> None:
    class Dying(FakeRuntime):
        dead = False

        async def start(self, spec: InstanceSpec, *, term: int) -> Address | None:
            await super().start(spec, term=term)
            self.dead = True
            raise asyncio.CancelledError

        async def observe(self) -> Sequence[Observed]:
            if self.dead:  # it does not look again
                await asyncio.Event().wait()
            return await super().observe()

    place = await stage.project()
    (name,) = await place.want(await place.release(WEB))
    dying = replace(stage.backends, runtime=Dying(stage.folder))
    async with stage.leading(run_instances, backends=dying):
        await until(lambda: _runs(stage, 1))
    (before,) = await stage.runtime.observe()
    assert (await stage.row(name)).host is None
    async with stage.leading(run_instances):
        await until(lambda: _all_started(stage, [name]))
    row = await stage.row(name)
    assert before.address == Address(host=row.host or "", port=row.port or 0)
    assert row.started_at == before.started_at
    assert [each.started_at for each in await stage.runtime.observe()] == [before.started_at]


async def _stop(stage: Stage, name: str) -> None:
    await stage.runtime.stop(name, grace_seconds=LIMIT, term=1)


async def _forget(stage: Stage, name: str) -> None:
    await stage.runtime.forget(name, term=1)


@pytest.mark.parametrize("half", [None, _stop, _forget])
async def test_a_leader_that_died_while_it_stopped(
    stage: Stage, half: Callable[[Stage, str], "asyncio.Future[None]"] | None
) -> None:
    place = await stage.project()
    async with stage.leading(run_instances):
        _, (name,) = await place.live(STAY)
        await until(lambda: _all_started(stage, [name]))
    async with begin(stage.api.pool) as tx:
        await actions.retire(tx, place.environment.id, but=None)
    if half:
        await half(stage, name)
    await asyncio.wait_for(run_instances(stage.backends), LIMIT)
    assert await _gone(stage, name)


async def test_a_leader_that_died_between_forgetting_and_starting_again(stage: Stage) -> None:
    place = await stage.project()
    async with stage.leading(run_instances):
        _, (name,) = await place.live(exits(1))
        await place.status([name], "crashed")
    await stage.runtime.forget(name, term=1)
    async with stage.leading(run_instances):

        async def again() -> bool:
            return (await stage.row(name)).crashes == 2

        await until(again)
    assert (await stage.row(name)).restarts == 1


async def test_what_belongs_to_a_purged_project_is_ended(stage: Stage) -> None:
    place = await stage.project()
    async with stage.leading(run_instances):
        _, ids = await place.live(WEB, STAY)
        await until(lambda: _all_started(stage, ids))
        await stage.execute("DELETE FROM projects WHERE id = $1", place.project.id)

        folder = stage.backends.settings.home / "logs" / "instances"

        async def nothing() -> bool:
            return not await stage.runtime.observe() and not list(folder.iterdir())

        await until(nothing)


async def test_without_anything_to_do_it_returns(stage: Stage) -> None:
    place: Place = await stage.project()
    await asyncio.wait_for(run_instances(stage.backends), LIMIT)
    async with stage.leading(run_instances):
        _, (name,) = await place.live(STAY)
        await until(lambda: _all_started(stage, [name]))
    await stage.execute("UPDATE instances SET status = 'running'")
    before = await stage.row(name)
    await asyncio.wait_for(run_instances(stage.backends), LIMIT)
    assert await stage.row(name) == before
