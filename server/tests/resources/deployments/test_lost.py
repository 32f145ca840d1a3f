"""A worker is lost in mid-step: another goes on, nothing runs twice that may not, nothing is left behind."""

import asyncio
from typing import Any

import pytest

from cygni import AsyncCygniClient
from tests.make.stage import LIMIT, until
from tests.make.worker import WEB, Installation


def hold(site: Installation, step: str) -> Any:
    """The next deployment stops in this step (source, build or switch) until the event is set."""
    go = asyncio.Event()
    match step:
        case "source":
            site.source.hold = go
        case "build":
            site.builder.hold = go
        case _:
            site.edge.hold = go
    return go


def free(site: Installation) -> None:
    site.source.hold = site.builder.hold = site.edge.hold = None


async def environment(site: Installation) -> str:
    return await site.value("SELECT id FROM environments ORDER BY id DESC LIMIT 1")


def changed(number: int, **files: str) -> dict[str, str]:
    """Files that were not built before."""
    return {**WEB, "number.txt": str(number), **files}


async def test_lost_in_source_or_build(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    for number, step in enumerate(["source", "build"]):
        hold(site, step)
        deployment_id = await site.deploy(ada, changed(number))
        await site.step(ada, deployment_id, step)
        await site.workers[-1].lose()
        free(site)
        await site.worker()
        found = await site.end(ada, deployment_id)
        assert found["status"] == "success"
        assert await site.serves() == {deployment_id}
        assert f"{deployment_id}.1" in site.builder.killed
        told = (await ada.request("GET", f"/deployments/{deployment_id}/events")).data
        assert "Building again: the worker was lost" in [event["message"] for event in told]
        assert not list((site.api.settings.home / "sources").glob("*"))


async def test_a_release_command_never_runs_twice(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    before = await site.live(ada)
    data = site.data(await environment(site))
    command = 'echo ran >> "$CYGNI_DATA_DIR/released"; exec sleep 1000'
    deployment_id = await site.deploy(ada, {**WEB, "Procfile": f"web: exec python3 app.py\nrelease: {command}\n"})
    await until((data / "released").exists)
    await site.workers[-1].lose()
    await site.worker()
    found = await site.end(ada, deployment_id)
    assert found["failure"]["code"] == "release_command_interrupted"
    assert (data / "released").read_text() == "ran\n"
    assert await site.serves() == {before}


async def test_lost_while_instances_are_tried(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    before = await site.live(ada)
    ready = site.data(await environment(site)) / "ready"
    waits = "import os, time\nwhile not os.path.exists(os.environ['CYGNI_DATA_DIR'] + '/ready'): time.sleep(0.01)\n"
    deployment_id = await site.deploy(ada, {**WEB, "app.py": waits + WEB["app.py"]})
    await site.step(ada, deployment_id, "start")
    await until(lambda: _both_run(site, before, deployment_id))
    await site.workers[-1].lose()
    ready.touch()
    await site.worker()
    assert (await site.end(ada, deployment_id))["status"] == "success"
    await site.only(deployment_id)


async def _both_run(site: Installation, *deployment_ids: str) -> bool:
    return await site.running() == set(deployment_ids)


async def test_lost_in_the_switch(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    before = await site.live(ada)
    hold(site, "switch")
    deployment_id = await site.deploy(ada, WEB)
    await site.status(ada, deployment_id, "verifying")
    await until(lambda: _routed_to(site, deployment_id))
    assert await site.running() == {before, deployment_id}
    await site.workers[-1].lose()
    free(site)
    await site.worker()
    assert (await site.end(ada, deployment_id))["status"] == "success"
    await site.only(deployment_id)


async def _routed_to(site: Installation, deployment_id: str) -> bool:
    return await site.serves() == {deployment_id}


async def test_lost_three_times(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    before = await site.live(ada)
    site.builder.started.clear()
    for step in ("build", "switch"):
        hold(site, step)
        deployment_id = await site.deploy(ada, changed(7, step=step))
        for attempt in range(1, 4):
            await _attempt(site, deployment_id, attempt)
            if step == "build":
                await asyncio.wait_for(site.builder.started.wait(), LIMIT)
                site.builder.started.clear()
            await site.step(ada, deployment_id, step)
            await site.workers[-1].lose()
            await site.worker()
        found = await site.end(ada, deployment_id)
        free(site)
        assert (found["failure"]["code"], found["failure"]["step"]) == ("worker_lost", step)
        await site.only(before)
        assert await site.serves() == {before}


async def _attempt(site: Installation, deployment_id: str, number: int) -> None:
    async with asyncio.timeout(LIMIT):
        while await site.value("SELECT attempt FROM deployments WHERE id = $1", deployment_id) != number:
            await asyncio.sleep(0.02)


async def test_given_back_by_a_worker_that_ends(site: Installation, ada: AsyncCygniClient) -> None:
    """Not counted as a try, however often."""
    await site.project(ada)
    hold(site, "build")
    deployment_id = await site.deploy(ada, WEB)
    for attempt in range(1, 6):
        await _attempt(site, deployment_id, attempt)
        await site.step(ada, deployment_id, "build")
        await site.workers[-1].stop()
        await site.worker()
    free(site)
    assert (await site.end(ada, deployment_id))["status"] == "success"


async def test_a_worker_that_lost_its_lease_changes_nothing(site: Installation, ada: AsyncCygniClient) -> None:
    """It was paused for longer than its lease, and goes on when another has taken over."""
    await site.project(ada)
    go = hold(site, "build")
    deployment_id = await site.deploy(ada, WEB)
    await site.step(ada, deployment_id, "build")
    await site.execute(
        "UPDATE deployments SET attempt = attempt + 1, lease_expires_at = NULL WHERE id = $1", deployment_id
    )
    await _attempt(site, deployment_id, 3)
    go.set()
    assert (await site.end(ada, deployment_id))["status"] == "success"
    types = await site.value(
        "SELECT array_agg(type ORDER BY number) FROM changes WHERE resource_id = $1", deployment_id
    )
    assert types.count("deployment.success") == types.count("deployment.deploying") == 1
    await site.only(deployment_id)


@pytest.mark.parametrize("strategy", ["rolling", "recreate"])
async def test_canceled_while_no_worker_was_there(site: Installation, ada: AsyncCygniClient, strategy: str) -> None:
    await site.project(ada)
    before = await site.live(ada, WEB, strategy=strategy)
    hold(site, "build")
    deployment_id = await site.deploy(ada, changed(1), strategy=strategy)
    await site.step(ada, deployment_id, "build")
    await site.workers[-1].lose()
    free(site)
    answer = await ada.request("POST", f"/deployments/{deployment_id}/cancel")
    assert answer.data["cancelRequestedAt"]
    await site.worker()
    assert (await site.end(ada, deployment_id))["status"] == "canceled"
    await site.only(before)
