"""Processes and instances through the API: read and scaled, and only by whom it should be."""

import asyncio
from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.build.base import HealthCheck, ProcessPlan
from cygnid.core import db
from cygnid.resources.instances.queries import InstanceRow
from tests.make.calls import refused
from tests.make.releases import instances_of
from tests.make.stage import Place, Stage

WEB = ProcessPlan(type="web", command="serve", health_check=HealthCheck(path="/up"))
WORKER = ProcessPlan(type="worker", command="work", instances=2, cpu=0.5, memory_mb=128)


async def get(client: AsyncCygniClient, path: str, **query: Any) -> Any:
    return (await client.request("GET", path, query=query)).data


async def patch(client: AsyncCygniClient, path: str, etag: str | None = None, **body: Any) -> Any:
    return await client.request("PATCH", path, json=body, headers={"If-Match": etag} if etag else {})


async def wanted(place: Place, deployment_id: str) -> list[InstanceRow]:
    return list(await instances_of(place.stage.api.pool, deployment_id))


async def test_a_process_is_said_completely(stage: Stage) -> None:
    place = await stage.project()
    await place.live(WEB, WORKER, path="/nowhere")
    owner = await stage.owner()
    web, worker = await get(owner, "/projects/shop/processes")
    assert web["id"].startswith("proc_")
    for made in (web, worker):
        for name in ("id", "createdAt", "updatedAt"):
            made.pop(name)
    assert web == {
        "teamId": stage.api.team_id, "projectId": place.project.id, "environment": "production", "type": "web",
        "command": "serve", "port": None, "protocol": "http1", "keepAliveSeconds": 4, "instances": 1,
        "runningInstances": 0, "cpu": 1.0, "memoryMb": 512, "pending": False, "createdBy": "system",
        "healthCheck": {"path": "/up", "timeoutSeconds": 60, "intervalSeconds": 10},
    }  # fmt: skip
    assert (worker["instances"], worker["cpu"], worker["memoryMb"], worker["healthCheck"]) == (2, 0.5, 128, None)
    assert (await get(owner, "/projects/shop/processes/worker"))["type"] == "worker"


async def test_an_instance_is_said_completely(stage: Stage) -> None:
    place = await stage.project()
    release, (name, *_) = await place.live(WEB, WORKER, path="/nowhere")
    owner = await stage.owner()
    await stage.execute(
        """UPDATE instances SET status = 'crashed', node = 'n1', restarts = 3, exit_at = now(), exit_signal = 'SIGKILL',
           exit_reason = 'outOfMemory', started_at = now() WHERE id = $1""",
        name,
    )
    found = await get(owner, f"/projects/shop/instances/{name}")
    assert found.pop("startedAt").endswith("Z")
    assert found["lastExit"].pop("at").endswith("Z")
    for field in ("createdAt", "updatedAt"):
        found.pop(field)
    assert found == {
        "id": name, "teamId": stage.api.team_id, "projectId": place.project.id, "environment": "production",
        "process": "web", "deploymentId": release.deployment_id, "status": "crashed", "node": "n1", "restarts": 3,
        "lastExit": {"exitCode": None, "signal": "SIGKILL", "reason": "outOfMemory"}, "createdBy": "system",
    }  # fmt: skip
    again = await owner.raw.instances.get("shop", name)
    same = await owner.request(
        "GET", f"/projects/shop/instances/{name}", headers={"If-None-Match": again.headers["etag"]}
    )
    assert same.status == 304


async def test_instances_are_filtered(stage: Stage) -> None:
    place = await stage.project()
    release, (web, first, _) = await place.live(WEB, WORKER, path="/nowhere")
    await stage.execute("UPDATE instances SET status = 'running' WHERE id = $1", first)
    owner = await stage.owner()

    async def ids(**query: Any) -> list[str]:
        return [each["id"] for each in await get(owner, "/projects/shop/instances", **query)]

    assert len(await ids()) == 3
    assert await ids(process="web") == [web]
    assert await ids(status="running") == [first]
    assert len(await ids(status="running,starting")) == 3
    assert len(await ids(deploymentId=release.deployment_id)) == 3
    assert await ids(deploymentId="dep_other") == []
    error = await refused(get(owner, "/projects/shop/instances", status="gone"))
    assert (error.status, error.code) == (400, "validation_error")


async def test_instances_are_scaled_at_once_and_sizes_wait(stage: Stage) -> None:
    place = await stage.project()
    release, _ = await place.live(WEB, path="/nowhere")
    owner = await stage.owner()
    answer = await patch(owner, "/projects/shop/processes/web", instances=3)
    assert (answer.data["instances"], answer.data["pending"]) == (3, False)
    assert [row.on_trial for row in await wanted(place, release.deployment_id)] == [False] * 3
    answer = await patch(owner, "/projects/shop/processes/web", cpu=2, memoryMb=64, instances=1)
    assert {name: answer.data[name] for name in ("instances", "cpu", "memoryMb", "pending")} == {
        "instances": 1, "cpu": 2.0, "memoryMb": 64, "pending": True,
    }  # fmt: skip
    assert len(await wanted(place, release.deployment_id)) == 1
    assert [type_ for type_, _ in await stage.events("process.scaled", "process.updated")] == [
        "process.scaled", "process.scaled", "process.updated",
    ]  # fmt: skip
    async with db.read(stage.api.pool) as reader:
        changed = await reader.value("SELECT before || after FROM changes WHERE type = 'process.updated'")
    assert changed == '{"cpu":1.0,"memoryMb":512}{"cpu":2.0,"memoryMb":64}'


async def test_what_was_scaled_is_kept_over_deploys(stage: Stage) -> None:
    place = await stage.project()
    await place.live(WORKER, path="/nowhere")
    owner = await stage.owner()
    await patch(owner, "/projects/shop/processes/worker", instances=4, memoryMb=256)
    second = await place.release(WORKER, path="/nowhere")
    await place.want(second)
    await patch(owner, "/projects/shop/processes/worker", instances=3)
    await place.go_live(second)
    assert len(await wanted(place, second.deployment_id)) == 3
    process = await get(owner, "/projects/shop/processes/worker")
    assert (process["instances"], process["memoryMb"], process["pending"]) == (3, 256, False)
    await place.live(WEB, path="/nowhere")
    assert (await refused(get(owner, "/projects/shop/processes/worker"))).status == 404
    back, _ = await place.live(WORKER, path="/nowhere")
    assert len(await wanted(place, back.deployment_id)) == 3


async def test_changes_at_once_end_with_the_last(stage: Stage) -> None:
    place = await stage.project()
    release, _ = await place.live(WEB, path="/nowhere")
    owner, path = await stage.owner(), "/projects/shop/processes/web"
    await asyncio.gather(*(patch(owner, path, instances=count) for count in (5, 2, 4, 3)), place.go_live(release))
    assert len(await wanted(place, release.deployment_id)) == (await get(owner, path))["instances"]


async def test_scaling_to_nothing_stops_it(stage: Stage) -> None:
    place = await stage.project()
    release, _ = await place.live(WORKER, path="/nowhere")
    answer = await patch(await stage.owner(), "/projects/shop/processes/worker", instances=0)
    assert answer.data["instances"] == 0
    assert await wanted(place, release.deployment_id) == []


async def test_what_the_project_wants_is_pending_until_it_is_deployed(stage: Stage) -> None:
    place = await stage.project()
    await place.live(WEB, path="/nowhere")
    owner = await stage.owner()

    async def pending(**process: Any) -> bool:
        await owner.projects.update("shop", processes=[{"type": "web", **process}])
        return (await get(owner, "/projects/shop/processes/web"))["pending"]

    assert await pending(command="other")
    assert not await pending(command="serve")
    assert await pending(instances=2)
    assert await pending(healthCheck={"path": "/up", "intervalSeconds": 1})
    assert not await pending()


async def test_what_changes_nothing_leaves_no_trace(stage: Stage) -> None:
    place = await stage.project()
    await place.live(WEB, path="/nowhere")
    owner = await stage.owner()
    first = await patch(owner, "/projects/shop/processes/web", instances=1)
    again = await patch(owner, "/projects/shop/processes/web", instances=1)
    assert (await patch(owner, "/projects/shop/processes/web")).data == again.data == first.data
    assert again.headers["etag"] == first.headers["etag"]


async def test_a_change_of_what_was_read_elsewhere_is_refused(stage: Stage) -> None:
    place = await stage.project()
    await place.live(WEB, path="/nowhere")
    owner = await stage.owner()
    seen = await owner.raw.processes.get("shop", "web")
    changed = await patch(owner, "/projects/shop/processes/web", seen.headers["etag"], instances=2)
    error = await refused(patch(owner, "/projects/shop/processes/web", seen.headers["etag"], instances=3))
    assert (error.status, error.details["etag"]) == (412, changed.headers["etag"])
    await patch(owner, "/projects/shop/processes/web", changed.headers["etag"], instances=3)


@pytest.mark.parametrize(
    "body",
    [
        {"instances": -1}, {"instances": 101}, {"instances": None}, {"cpu": 0.01}, {"cpu": 0.12}, {"memoryMb": 15},
        {"memoryMb": 1.5}, {"command": "rm"}, {"port": 80}, {"healthCheck": None}, {"autoscaling": None},
    ],
    ids=str,
)  # fmt: skip
async def test_a_bad_change_is_refused(stage: Stage, body: dict[str, Any]) -> None:
    place = await stage.project()
    await place.live(WEB, path="/nowhere")
    error = await refused(patch(await stage.owner(), "/projects/shop/processes/web", **body))
    assert (error.status, error.code) == (400, "validation_error")


async def test_whose_it_is_and_who_may(stage: Stage) -> None:
    place = await stage.project()
    _, (name, *_) = await place.live(WEB, path="/nowhere")
    await stage.project("other")
    paths = ["processes", "processes/web", "instances", f"instances/{name}"]
    outsider, viewer, operator = (
        await stage.api.outsider(),
        await stage.api.member("viewer"),
        await stage.api.member("operator"),
    )
    for path in paths:
        assert (await refused(get(outsider, f"/projects/shop/{path}"))).status == 404
        await get(viewer, f"/projects/shop/{path}")
    assert (await refused(patch(outsider, "/projects/shop/processes/web", instances=2))).status == 404
    error = await refused(patch(viewer, "/projects/shop/processes/web", instances=2))
    assert (error.status, error.code) == (403, "insufficient_scope")
    await patch(operator, "/projects/shop/processes/web", instances=2)
    owner = await stage.owner()
    for path in (
        f"/projects/other/instances/{name}",
        "/projects/shop/instances/inst_none",
        "/projects/shop/processes/x",
    ):
        assert (await refused(get(owner, path))).status == 404
    assert (await refused(get(owner, "/projects/shop/processes", environment="none"))).status == 404
    deploy = stage.api.client(await stage.api.token(project_id=place.project.id))
    await get(deploy, f"/projects/shop/instances/{name}")
    assert (await refused(get(deploy, f"/projects/other/instances/{name}"))).status in (403, 404)
