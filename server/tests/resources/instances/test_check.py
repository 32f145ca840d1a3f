"""Live instances are asked whether they are healthy; those that stay ill are started again."""

import asyncio
import shlex
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from cygnid.build.base import HealthCheck, ProcessPlan
from cygnid.core import clock
from cygnid.core.db import begin
from cygnid.resources.instances import actions, seen
from cygnid.resources.instances.schemas import HealthCheckInput, ProcessSpec
from cygnid.resources.instances.steps import check
from cygnid.resources.instances.tasks import check_instances, run_instances, sweep_instances
from cygnid.runtime.base import Exit
from tests.make.releases import instances_of
from tests.make.stage import Place, Stage, until

WEB = ProcessPlan(type="web", command="exec python3 app.py")
STRICT = replace(WEB, health_check=HealthCheck(path="/up", timeout_seconds=60, interval_seconds=1))
GRPC = """
import os
from concurrent.futures import ThreadPoolExecutor
import grpc
server = grpc.server(ThreadPoolExecutor(1))
server.add_insecure_port("0.0.0.0:" + os.environ["PORT"])
server.start()
server.wait_for_termination()
"""
EVENTS = ("instance.unhealthy", "instance.recovered", "instance.crashed")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(check, "SOON_SECONDS", 0.05)


async def test_an_instance_that_was_added_runs_once_it_answers(stage: Stage) -> None:
    place = await stage.project()
    async with stage.leading():
        release, ids = await place.live(WEB)
        await place.status(ids, "running")
        owner = await stage.owner()
        await owner.request("PATCH", "/projects/shop/processes/web", json={"instances": 3})
        all_ids = [row.id for row in await instances_of(stage.api.pool, release.deployment_id)]
        assert len(all_ids) == 3
        await place.status(all_ids, "running")
        process = (await owner.request("GET", "/projects/shop/processes/web")).data
        assert process["runningInstances"] == 3
        await owner.request("PATCH", "/projects/shop/processes/web", json={"instances": 1})
        await until(lambda: _count(stage, 1))
    assert await stage.events(*EVENTS) == []


@pytest.mark.parametrize("protocol", ["h2c", "http1"])
async def test_an_app_is_asked_in_the_protocol_that_it_was_said_to_speak(
    stage: Stage, protocol: Literal["h2c", "http1"]
) -> None:
    command = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(GRPC)}"
    patience = HealthCheck(path="/", timeout_seconds=60 if protocol == "h2c" else 2, interval_seconds=1)
    place = await stage.project()
    async with stage.leading(run_instances, check_instances):
        _, ids = await place.live(ProcessPlan(type="web", command=command, protocol=protocol, health_check=patience))
        await place.status(ids, "running" if protocol == "h2c" else "crashed")


async def _count(stage: Stage, count: int) -> bool:
    return len(await stage.running()) == count == len(await stage.rows())


async def test_one_on_trial_is_left_to_its_deployment(stage: Stage) -> None:
    place = await stage.project()
    trial = await place.release(WEB)
    async with stage.leading(run_instances, check_instances):
        (judged,) = await place.want(trial)
        _, ids = await (await stage.project("other")).live(WEB)
        await place.status(ids, "running")
        assert (await stage.row(judged)).status == "starting"


async def test_a_process_without_a_port_is_healthy_when_it_has_lived(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cygnid.resources.instances.schemas.ALIVE_SECONDS", 1)
    place = await stage.project()
    async with stage.leading(run_instances, check_instances):
        _, (name,) = await place.live(ProcessPlan(type="worker", command="exec sleep 1000"))
        await place.status([name], "running")
    row = await stage.row(name)
    assert row.started_at
    assert row.updated_at - row.started_at >= timedelta(seconds=1)


async def test_one_that_answers_badly_is_unhealthy_until_it_recovers(stage: Stage) -> None:
    place = await stage.project()
    async with stage.leading(run_instances, check_instances):
        _, (name,) = await place.live(WEB)
        await place.status([name], "running")
        file = place.mark_sick()
        await place.status([name], "unhealthy")
        file.unlink()
        await place.status([name], "running")
    (first, second) = await stage.events(*EVENTS)
    assert first == ("instance.unhealthy", '{"reason":"GET / was answered with 503"}')
    assert second[0] == "instance.recovered"
    assert (await stage.row(name)).restarts == 0


async def test_one_that_fails_the_check_it_asked_for_is_started_again(stage: Stage) -> None:
    place = await stage.project()
    async with stage.leading(run_instances, check_instances):
        _, (name,) = await place.live(STRICT)
        await place.status([name], "running")
        file = place.mark_sick()
        await place.status([name], "crashed")
        row = await stage.row(name)
        assert row.exit_reason == "unhealthy"
        file.unlink()
        await place.status([name], "running")
    assert (await stage.row(name)).restarts == 1
    assert [event for event, _ in await stage.events(*EVENTS)] == ["instance.unhealthy", "instance.crashed"]


async def test_one_that_does_not_answer_at_all_is_started_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PROBE_SECONDS", 0.1)
    place = await stage.project()
    async with stage.leading(run_instances, check_instances):
        _, (name,) = await place.live(replace(WEB, command="exec python3 -c 'import time; time.sleep(1000)'"))
        await stage.execute("UPDATE instances SET status = 'running' WHERE id = $1", name)
        await place.status([name], "crashed")
    assert (await stage.row(name)).exit_reason == "unhealthy"


async def test_one_that_never_begins_to_answer_is_started_again(stage: Stage) -> None:
    place = await stage.project()
    slow = replace(STRICT, command="exec sleep 1000", health_check=HealthCheck(path="/", timeout_seconds=1))
    async with stage.leading(run_instances, check_instances):
        _, (name,) = await place.live(slow)
        await place.status([name], "crashed")
    (event, *_) = await stage.events("instance.unhealthy")
    assert "1 s after its start" in event[1]


@pytest.mark.parametrize(
    ("status", "lenient", "strict"),
    [
        (None, False, False),
        (200, True, True),
        (399, True, True),
        (404, True, False),
        (500, False, False),
        (100, True, False),
    ],
)
def test_what_a_healthy_answer_is(status: int | None, *, lenient: bool, strict: bool) -> None:
    spec = ProcessSpec(
        type="web", command="c", port=0, protocol="http1", keep_alive_seconds=4, instances=1, cpu=1, memory_mb=64,
        health_check=None, plan=None,
    )  # fmt: skip
    checked = ProcessSpec(**{**_fields(spec), "health_check": HealthCheckInput(path="/up", timeout_seconds=7)})
    assert (spec.accepts(status), checked.accepts(status)) == (lenient, strict)
    assert (spec.probe_path, checked.probe_path) == ("/", "/up")
    assert (spec.start_seconds, checked.start_seconds) == (60, 7)


def _fields(spec: ProcessSpec) -> dict[str, object]:
    return {name: getattr(spec, name) for name in spec.__struct_fields__}


@pytest.mark.parametrize(
    ("crashes", "lived", "pause"),
    [(0, 1, 1), (1, 1, 2), (4, 1, 16), (8, 1, 256), (9, 1, 300), (60, 1, 300), (60, 601, 1)],
)
async def test_pauses_double_up_to_a_limit_and_begin_anew(stage: Stage, crashes: int, lived: int, pause: int) -> None:
    place = await stage.project()
    _, (name,) = await place.live(WEB, path="/nowhere")
    now = clock.now()
    await stage.execute(
        "UPDATE instances SET crashes = $2, started_at = $3 WHERE id = $1",
        name,
        crashes,
        now - timedelta(seconds=lived),
    )
    row = await stage.row(name)
    async with begin(stage.api.pool) as tx:
        await seen.crashed(tx, row, Exit(at=now, code=1, signal=None, out_of_memory=False), "crashed")
    after = await stage.row(name)
    assert after.retry_at
    assert pause <= (after.retry_at - now).total_seconds() < pause + 60


@pytest.mark.parametrize(
    ("code", "signal", "reason"),
    [(0, None, "exited"), (1, None, "crashed"), (None, "SIGSEGV", "crashed"), (None, "SIGKILL", "outOfMemory")],
)
def test_why_one_ended(code: int | None, signal: str | None, reason: str) -> None:
    end = Exit(at=clock.now(), code=code, signal=signal, out_of_memory=signal == "SIGKILL")
    assert seen.reason_of(end) == reason


async def test_nothing_is_written_of_one_that_has_changed_meanwhile(stage: Stage) -> None:
    place = await stage.project()
    _, (name,) = await place.live(WEB, path="/nowhere")
    before = await stage.row(name)
    async with begin(stage.api.pool) as tx:
        await actions.retire(tx, place.environment.id, but=None)
        await seen.healthy(tx, before)
    assert (await stage.row(name)).status == "stopping"


async def test_an_answer_that_could_not_be_noted_is_asked_for_again_soon(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "INTERVAL_SECONDS", 1000)
    place = await stage.project()
    async with stage.leading(run_instances):
        _, (name,) = await place.live(WEB)
        await until(lambda: _listens(stage))
    checker = check.Checker(backends=stage.backends, changed=asyncio.Event())
    for changed, soon in ((True, True), (False, False)):
        (row,) = await checker.rows()
        if changed:
            await stage.execute("UPDATE instances SET updated_at = now()")
        _, probe = checker.due(row)
        assert probe
        await probe()
        assert (checker.due(row)[0] < 10) is soon
        await until(lambda row=row, soon=soon: not soon or checker.due(row)[0] <= 0)
        checker.changed.set()
    assert (await stage.row(name)).status == "running"


async def _listens(stage: Stage) -> bool:
    return any(each.listening == "reachable" for each in await stage.runtime.observe())


async def test_what_is_long_gone_is_let_go_of(stage: Stage) -> None:
    place: Place = await stage.project()
    _, (old, new) = await place.live(replace(WEB, instances=2), path="/nowhere")
    await stage.execute("UPDATE instances SET forgotten_at = now() - interval '1 day' WHERE id = $1", old)
    await sweep_instances(stage.backends)
    rows = (await (await stage.owner()).request("GET", "/projects/shop/instances")).data
    assert [row["id"] for row in rows] == [new]
