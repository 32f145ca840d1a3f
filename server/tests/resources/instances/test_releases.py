"""What is wanted of instances: released, on trial, live, retired. Nothing is started here."""

from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from cygnid.build.base import HealthCheck, ProcessPlan
from cygnid.core.db import begin, read
from cygnid.resources.instances import actions, queries, specs
from cygnid.resources.instances.schemas import ProcessSpec, ReleaseSpec, Scale
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow
from cygnid.resources.projects.schemas import HealthCheckInput, ProcessInput
from tests.make.api import Api
from tests.make.releases import WEB, environment_of, instances_of, make_project, release_of

WORKER = ProcessPlan(type="worker", command="work", instances=2)


@dataclass
class Place:
    api: Api
    project: ProjectRow
    environment: EnvironmentRow

    async def release(self, *plans: ProcessPlan, **fields: Any) -> ReleaseSpec:
        async with begin(self.api.pool) as tx:
            return await release_of(tx, self.project, self.environment, plans=plans or (WEB,), **fields)

    async def want(self, release: ReleaseSpec) -> list[str]:
        async with begin(self.api.pool) as tx:
            return await actions.want(tx, release)

    async def go_live(self, release: ReleaseSpec) -> None:
        async with begin(self.api.pool) as tx:
            await actions.go_live(tx, release.deployment_id)

    async def ids(self, release: ReleaseSpec) -> list[str]:
        return [row.id for row in await instances_of(self.api.pool, release.deployment_id)]

    async def all(self) -> dict[str, queries.InstanceRow]:
        async with read(self.api.pool) as reader:
            return {row.id: row for row in await queries.held(reader)}

    async def set(self, instance_id: str, **columns: object) -> None:
        async with begin(self.api.pool) as tx:
            for name, value in columns.items():
                await tx.execute(f"UPDATE instances SET {name} = $2 WHERE id = $1", instance_id, value)


@pytest.fixture
async def place(api: Api) -> Place:
    project = await make_project(api.pool, api.team_id)
    return Place(api, project, await environment_of(api.pool, project))


async def test_a_release_is_stored_as_it_was_given(place: Place) -> None:
    check = HealthCheck(path="/up", timeout_seconds=5)
    release = await place.release(
        replace(WEB, health_check=check), mounts=[("/a", "/b")], env={"PATH": "/x"}, fallback="index.html"
    )
    await place.want(release)
    async with read(place.api.pool) as reader:
        assert await queries.release(reader, release.deployment_id) == release


async def test_its_instances_are_on_trial(place: Place) -> None:
    release = await place.release(WEB, WORKER)
    ids = await place.want(release)
    rows = await instances_of(place.api.pool, release.deployment_id)
    assert [row.id for row in rows] == ids
    assert sorted(row.process for row in rows) == ["web", "worker", "worker"]
    assert {(row.status, row.on_trial, row.wanted) for row in rows} == {("starting", True, True)}


async def test_a_second_attempt_keeps_what_has_not_failed(place: Place) -> None:
    release = await place.release(WORKER)
    failed, kept = await place.want(release)
    await place.set(failed, status="crashed")
    again = await place.want(release)
    assert len(again) == 2
    assert kept in again
    assert failed not in again


async def test_a_second_attempt_with_another_release_starts_anew(place: Place) -> None:
    release = await place.release()
    old = await place.want(release)
    new = await place.want(msgspec.structs.replace(release, path="/elsewhere"))
    assert len(new) == 1
    assert new != old


async def test_going_live_retires_the_others_and_takes_off_trial(place: Place) -> None:
    first, second = await place.release(WEB, WORKER), await place.release()
    old = await place.want(first)
    await place.go_live(first)
    assert {row.on_trial for row in await instances_of(place.api.pool, first.deployment_id)} == {False}
    new = await place.want(second)
    assert await place.ids(first) == old
    await place.go_live(second)
    assert await place.ids(first) == []
    assert await place.ids(second) == new
    rows = await place.all()
    assert {(rows[each].status, rows[each].drain, rows[each].wanted) for each in old} == {("stopping", True, False)}
    async with read(place.api.pool) as reader:
        assert await queries.process(reader, place.environment.id, "worker") is None


async def test_going_live_twice_changes_nothing(place: Place) -> None:
    release = await place.release(WORKER)
    ids = await place.want(release)
    await place.go_live(release)
    await place.go_live(release)
    assert await place.ids(release) == ids


async def test_a_drain_can_be_hurried_and_not_slowed(place: Place) -> None:
    release = await place.release()
    (name,) = await place.want(release)
    for drain in (True, False, True):
        async with begin(place.api.pool) as tx:
            await actions.retire(tx, place.environment.id, but=None, drain=drain)
    assert (await place.all())[name].drain is False


async def test_a_release_that_failed_is_retired_alone(place: Place) -> None:
    good, bad = await place.release(), await place.release()
    kept = await place.want(good)
    (failed,) = await place.want(bad)
    await place.set(failed, status="crashed")
    async with begin(place.api.pool) as tx:
        await actions.retire_release(tx, bad.deployment_id)
    rows = await place.all()
    assert (rows[failed].status, rows[failed].wanted) == ("crashed", False)
    assert await place.ids(good) == kept


async def test_only_what_starts_or_ails_becomes_healthy(place: Place) -> None:
    release = await place.release(ProcessPlan(type="worker", command="work", instances=3))
    starting, ailing, crashed = await place.want(release)
    await place.set(ailing, status="unhealthy")
    await place.set(crashed, status="crashed")
    async with begin(place.api.pool) as tx:
        for each in (starting, ailing, crashed):
            await actions.set_healthy(tx, each)
    rows = await place.all()
    assert [rows[each].status for each in (starting, ailing, crashed)] == ["running", "running", "crashed"]


@pytest.mark.parametrize(
    ("plan", "named", "scale", "expected"),
    [
        (WEB, None, None, {"port": 0, "instances": 1, "cpu": 1.0, "memory_mb": 512, "health_check": None}),
        (ProcessPlan(type="worker", command="w"), None, None, {"port": None, "protocol": "http1"}),
        (
            replace(WEB, port=5000, cpu=2, health_check=HealthCheck(path="/a")),
            None,
            None,
            {"port": 5000, "cpu": 2, "health_check": HealthCheckInput(path="/a")},
        ),
        (
            replace(WEB, port=5000, memory_mb=64),
            ProcessInput(type="web", command="mine", port=6000, keep_alive_seconds=9),
            None,
            {"command": "mine", "port": 6000, "memory_mb": 64, "keep_alive_seconds": 9},
        ),
        (
            replace(WEB, instances=2),
            ProcessInput(type="web", instances=3, cpu=0.5),
            Scale(type="web", instances=0, memory_mb=32),
            {"instances": 0, "cpu": 0.5, "memory_mb": 32},
        ),
        (None, ProcessInput(type="clock", command="tick"), None, {"command": "tick", "port": None, "plan": None}),
    ],
)
def test_settings_have_one_order(
    plan: ProcessPlan | None, named: ProcessInput | None, scale: Scale | None, expected: dict[str, Any]
) -> None:
    given = plan or named
    assert given is not None
    found: ProcessSpec = specs.decided(given.type, plan, named, scale)
    assert {name: getattr(found, name) for name in expected} == expected


async def test_a_process_that_only_the_project_names_needs_a_command(api: Api) -> None:
    named = [ProcessInput(type="clock", command="tick"), ProcessInput(type="ghost", instances=3)]
    project = await make_project(api.pool, api.team_id, processes=named)
    place = Place(api, project, await environment_of(api.pool, project))
    assert [spec.type for spec in (await place.release()).processes] == ["web", "clock"]
