"""The way of a deployment from an upload to its visitors."""

import asyncio
from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.edge.base import App, Static
from cygnid.resources.instances import schemas as instances
from tests.make.stage import APP, LIMIT
from tests.make.worker import STATIC, WEB, Installation

NAMES = ["source", "build", "release", "start", "health", "switch"]


def steps(deployment: Any) -> dict[str, str]:
    return {step["name"]: step["status"] for step in deployment["steps"]}


async def test_from_an_upload_to_its_url(site: Installation, ada: AsyncCygniClient) -> None:
    project = await site.project(ada)
    deployment_id = await site.deploy(ada, WEB, message="first", labels={"team": "core"})
    found = await site.end(ada, deployment_id)
    assert found["status"] == "success", found["failure"]
    assert [step["name"] for step in found["steps"]] == NAMES
    assert steps(found) == {**dict.fromkeys(NAMES, "success"), "release": "skipped"}
    assert (found["type"], found["trigger"], found["strategy"]) == ("deploy", "api", "rolling")
    assert (found["message"], found["labels"]) == ("first", {"team": "core"})
    assert found["source"]["type"] == "upload"
    assert found["artifact"]["digest"].startswith("sha256:")
    assert found["url"] == "http://shop.localhost:8001"
    assert found["isCurrent"]
    assert found["rollbackable"]
    assert found["previousId"] is None
    assert found["failure"] is None
    assert found["leaseExpiresAt"] is None
    assert found["durationMs"] >= 0
    assert found["finishedAt"] >= found["startedAt"] >= found["createdAt"]
    assert await site.serves() == {deployment_id}
    now = (await ada.request("GET", f"/projects/{project['id']}")).data
    assert now["url"] == found["url"]
    assert now["currentDeploymentId"] == deployment_id
    assert now["latestDeployment"]["status"] == "success"


async def test_it_tells_its_story(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    deployment_id = await site.live(ada)
    told = (await ada.request("GET", f"/deployments/{deployment_id}/events")).data
    statuses = list(dict.fromkeys(event["status"] for event in told))
    assert statuses == ["queued", "building", "deploying", "verifying", "success"]
    assert all(event["message"] for event in told)
    assert [event["at"] for event in told] == sorted(event["at"] for event in told)
    types = await site.value(
        "SELECT array_agg(type ORDER BY number) FROM changes WHERE resource_id = $1", deployment_id
    )
    assert types == [f"deployment.{word}" for word in ("created", "building", "deploying", "verifying", "success")]


async def test_its_log_can_be_read_to_the_end(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    files = {**WEB, "Procfile": "web: exec python3 app.py\nrelease: echo migrating\n"}
    deployment_id = await site.deploy(ada, files)
    async with asyncio.timeout(LIMIT):
        async with ada.stream(f"/deployments/{deployment_id}/logs/stream") as stream:
            lines = [event.data async for event in stream]
    assert stream.end
    assert (stream.end.reason, stream.end.status) == ("finished", "success")
    said = [(line["step"], line["message"]) for line in lines]
    assert any(step == "build" and "process web" in message for step, message in said)
    assert ("release", "migrating") in said
    assert {line["deploymentId"] for line in lines} == {deployment_id}
    listed = (await ada.request("GET", f"/deployments/{deployment_id}/logs")).data
    assert [line["id"] for line in listed] == [line["id"] for line in lines]
    only = (await ada.request("GET", f"/deployments/{deployment_id}/logs", query={"step": "release"})).data
    assert {line["step"] for line in only} == {"release"}


async def test_the_old_release_leaves_after_success(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    first = await site.live(ada)
    second = await site.live(ada)
    assert await site.serves() == {second}
    assert (await site.get(ada, second))["previousId"] == first
    assert not (await site.get(ada, first))["isCurrent"]
    await site.only(second)


async def test_equal_inputs_are_not_built_again(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    first, second = await site.live(ada), await site.live(ada)
    digests = [(await site.get(ada, each))["artifact"]["digest"] for each in (first, second)]
    assert digests[0] == digests[1]
    third = await site.live(ada, WEB, clearCache=True)
    assert (await site.get(ada, third))["artifact"]["digest"] != digests[0]


async def test_a_static_site_has_no_process(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    deployment_id = await site.live(ada, STATIC)
    found = await site.get(ada, deployment_id)
    assert steps(found) == {
        "source": "success", "build": "success", "release": "skipped", "start": "skipped", "health": "skipped",
        "switch": "success",
    }  # fmt: skip
    assert found["artifact"]["kind"] == "static"
    route = site.edge.route("shop.localhost")
    assert route
    assert isinstance(route.target, Static)
    assert (await site.served()).status == 200
    assert await site.running() == set()


async def test_an_app_without_a_web_process_has_no_url(
    site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "ALIVE_SECONDS", 0.3)
    await site.project(ada)
    deployment_id = await site.live(ada, {"Procfile": "worker: exec sleep 1000\n"})
    found = await site.get(ada, deployment_id)
    assert found["url"] is None
    assert site.edge.routes == ()
    assert await site.running() == {deployment_id}


async def test_from_a_web_process_to_none_and_back(
    site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "ALIVE_SECONDS", 0.3)
    await site.project(ada)
    await site.live(ada, STATIC)
    worker = await site.live(ada, {"Procfile": "worker: exec sleep 1000\n"})
    assert site.edge.routes == ()
    assert (await ada.request("GET", "/projects/shop")).data["url"] is None
    web = await site.live(ada)
    await site.only(web)
    assert await site.serves() == {web} != {worker}


async def test_its_variables_are_of_when_it_began(site: Installation, ada: AsyncCygniClient) -> None:
    project = await site.project(ada)
    body = {"key": "GREETING", "value": "one", "type": "plain", "environments": ["production"]}
    body["projectId"] = project["id"]
    variable = (await ada.request("POST", "/env", json=body)).data
    app = APP.replace('os.environ["CYGNI_DEPLOYMENT_ID"]', 'os.environ["GREETING"]')
    await site.live(ada, {**WEB, "app.py": app})
    assert await site.serves() == {"one"}
    await ada.request("PATCH", f"/env/{variable['id']}", json={"value": "two"})
    assert await site.serves() == {"one"}
    await site.live(ada, {**WEB, "app.py": app})
    assert await site.serves() == {"two"}


async def test_a_release_command_runs_before_the_start(site: Installation, ada: AsyncCygniClient) -> None:
    project = await site.project(ada)
    envt = await site.value("SELECT id FROM environments WHERE project_id = $1", project["id"])
    command = 'echo "$CYGNI_DEPLOYMENT_ID $CYGNI_PROJECT $CYGNI_ENVIRONMENT" >> "$CYGNI_DATA_DIR/released"'
    files = {**WEB, "Procfile": f"web: exec python3 app.py\nrelease: {command}\n"}
    deployment_id = await site.live(ada, files)
    found = await site.get(ada, deployment_id)
    assert steps(found)["release"] == "success"
    assert (site.data(envt) / "released").read_text() == f"{deployment_id} shop production\n"


async def test_another_environment_has_a_host_of_its_own(site: Installation, ada: AsyncCygniClient) -> None:
    project = await site.project(ada)
    body = {"name": "staging", "type": "custom"}
    await ada.request("POST", f"/projects/{project['id']}/environments", json=body)
    production = await site.live(ada)
    staging = await site.live(ada, WEB, environment="staging")
    assert (await site.get(ada, staging))["url"] == "http://shop--staging.localhost:8001"
    assert await site.serves() == {production, staging}
    assert (await site.get(ada, production))["isCurrent"]


async def test_two_instances_are_both_tried(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada, processes=[{"type": "web", "instances": 2}])
    await site.live(ada)
    route = site.edge.route("shop.localhost")
    assert route
    assert isinstance(route.target, App)
    assert len(route.target.endpoints) == 2


async def test_a_process_scaled_to_none_is_not_waited_for(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada, processes=[{"type": "web", "instances": 0}])
    deployment_id = await site.live(ada)
    assert await site.running() == set()
    assert (await site.get(ada, deployment_id))["isCurrent"]


async def test_one_that_recreates_stops_the_old_first(site: Installation, ada: AsyncCygniClient) -> None:
    """Its app refuses to start while another holds the lock in the data folder that both share."""
    await site.project(ada)
    only = "import fcntl, os\nheld = open(os.environ['CYGNI_DATA_DIR'] + '/lock', 'w')\n"
    only += "fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    files = {**WEB, "app.py": only + APP}
    await site.live(ada, files, strategy="recreate")
    beside = await site.end(ada, await site.deploy(ada, files))
    assert beside["failure"]["code"] == "start_crash"
    second = await site.live(ada, files, strategy="recreate")
    assert await site.serves() == {second}
    await site.only(second)


async def test_many_at_once(site: Installation, ada: AsyncCygniClient) -> None:
    names = [f"shop{number}" for number in range(5)]
    for name in names:
        await site.project(ada, name)
    started = [await site.deploy(ada, WEB, project=name) for name in names]
    for each in started:
        assert (await site.end(ada, each))["status"] == "success"
    assert await site.serves() == set(started)
