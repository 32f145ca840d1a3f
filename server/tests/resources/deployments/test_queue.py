"""One deployment of an environment at a time: what waits, what is superseded, what is canceled."""

import asyncio

import pytest

from cygni import APIStatusError, AsyncCygniClient
from tests.make.stage import until
from tests.make.worker import WEB, Installation


def slow(step: str) -> dict[str, str]:
    """Files whose deployment stays in this step."""
    waits = "import time\ntime.sleep(1000)\n"
    match step:
        case "release":
            return {**WEB, "Procfile": "web: exec python3 app.py\nrelease: exec sleep 1000\n"}
        case "start":
            return {**WEB, "app.py": waits}
        case "health":
            return {**WEB, "app.py": WEB["app.py"].replace("else 200", "else 500")}
        case _:
            return {**WEB, "step.txt": step}


async def test_a_newer_one_supersedes_what_waits(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    site.builder.hold = asyncio.Event()
    first = await site.deploy(ada, WEB)
    await site.step(ada, first, "build")
    second = await site.deploy(ada, {**WEB, "a": "2"})
    waiting = await site.get(ada, second)
    assert (waiting["status"], waiting["queuePosition"], waiting["blockedById"]) == ("queued", 1, first)
    assert waiting["leaseExpiresAt"] is None
    third = await site.deploy(ada, {**WEB, "a": "3"})
    gone = await site.get(ada, second)
    assert (gone["status"], gone["queuePosition"]) == ("superseded", None)
    assert gone["finishedAt"]
    assert {step["status"] for step in gone["steps"]} == {"skipped"}
    assert (await site.get(ada, first))["status"] == "building"
    site.builder.hold.set()
    assert (await site.end(ada, first))["status"] == "success"
    found = await site.end(ada, third)
    assert (found["status"], found["previousId"]) == ("success", first)
    await site.only(third)


async def test_what_waits_begins_when_the_other_fails(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    site.builder.hold = asyncio.Event()
    first = await site.deploy(ada, {**WEB, "app.py": "raise SystemExit(1)"})
    await site.step(ada, first, "build")
    second = await site.deploy(ada, WEB)
    site.builder.hold.set()
    assert (await site.end(ada, first))["status"] == "failed"
    assert (await site.end(ada, second))["status"] == "success"


async def test_many_at_once_of_one_environment(site: Installation, ada: AsyncCygniClient) -> None:
    """Each ends, the newest is live, and never did two run at once (which an index refuses)."""
    await site.project(ada)
    upload = await site.upload(WEB)
    body = {"projectId": "shop", "uploadId": upload}
    answers = await asyncio.gather(*(ada.request("POST", "/deployments", json=body) for _ in range(8)))
    ids = sorted(answer.data["id"] for answer in answers)
    ends = [(await site.end(ada, each))["status"] for each in ids]
    assert set(ends) <= {"success", "superseded"}
    assert ends[-1] == "success"
    await site.only(ids[-1])
    assert (await ada.raw.projects.get("shop")).data["currentDeploymentId"] == ids[-1]


async def test_environments_do_not_wait_for_each_other(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    await ada.environments.create("shop", name="staging")
    first = await site.live(ada, WEB, environment="staging")
    site.builder.hold = asyncio.Event()
    held = await site.deploy(ada, {**WEB, "a": "1"})
    await site.step(ada, held, "build")
    assert await site.live(ada, WEB, environment="staging") != first
    site.builder.hold.set()
    assert (await site.end(ada, held))["status"] == "success"


@pytest.mark.parametrize("strategy", ["rolling", "recreate"])
@pytest.mark.parametrize("step", ["source", "build", "release", "start", "health"])
async def test_canceled_in_any_step(site: Installation, ada: AsyncCygniClient, step: str, strategy: str) -> None:
    await site.project(ada)
    before = await site.live(ada, WEB, strategy=strategy)
    if step == "source":
        site.source.hold = asyncio.Event()
    if step == "build":
        site.builder.hold = asyncio.Event()
    deployment_id = await site.deploy(ada, slow(step), strategy=strategy)
    await site.step(ada, deployment_id, step)
    answer = await ada.raw.deployments.cancel(deployment_id)
    assert answer.status == 202
    found = await site.end(ada, deployment_id)
    statuses = {each["name"]: each["status"] for each in found["steps"]}
    assert (found["status"], statuses[step], found["failure"]) == ("canceled", "canceled", None)
    assert found["cancelRequestedAt"]
    assert not {"running", "pending"} & set(statuses.values())
    await site.only(before)
    await until(lambda: _serves(site, before))
    again = await ada.raw.deployments.cancel(deployment_id)
    assert again.data["status"] == "canceled"
    assert not list((site.api.settings.home / "sources").glob("*"))


async def _serves(site: Installation, deployment_id: str) -> bool:
    try:
        return await site.serves() == {deployment_id}
    except OSError:
        return False


async def test_canceled_before_it_began(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    site.builder.hold = asyncio.Event()
    first = await site.deploy(ada, WEB)
    await site.step(ada, first, "build")
    second = await site.deploy(ada, WEB)
    answer = await ada.raw.deployments.cancel(second)
    assert answer.data["status"] == "canceled"
    site.builder.hold.set()
    assert (await site.end(ada, first))["status"] == "success"


async def test_a_switch_cannot_be_canceled(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    site.edge.hold = asyncio.Event()
    deployment_id = await site.deploy(ada, WEB)
    await site.status(ada, deployment_id, "verifying")
    with pytest.raises(APIStatusError) as refused:
        await ada.deployments.cancel(deployment_id)
    assert (refused.value.status, refused.value.code) == (409, "invalid_state")
    site.edge.hold.set()
    assert (await site.end(ada, deployment_id))["status"] == "success"
    with pytest.raises(APIStatusError) as refused:
        await ada.deployments.cancel(deployment_id)
    assert refused.value.code == "invalid_state"


async def test_a_rollback_cancels_what_runs(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    first, second = await site.live(ada), await site.live(ada, {**WEB, "a": "2"})
    running = await site.deploy(ada, slow("start"))
    await site.step(ada, running, "start")
    answer = await ada.raw.projects.rollback("shop")
    assert answer.data["source"] == {"type": "deployment", "deploymentId": first}
    assert (await site.end(ada, running))["status"] == "canceled"
    assert (await site.end(ada, answer.data["id"]))["status"] == "success"
    await site.only(answer.data["id"])
    assert second != first


@pytest.mark.parametrize("step", ["build", "start"])
async def test_a_pause_ends_what_runs(site: Installation, ada: AsyncCygniClient, step: str) -> None:
    await site.project(ada)
    before = await site.live(ada)
    if step == "build":
        site.builder.hold = asyncio.Event()
    deployment_id = await site.deploy(ada, slow(step))
    await site.step(ada, deployment_id, step)
    await ada.projects.pause("shop")
    if site.builder.hold:
        site.builder.hold.set()
    found = await site.end(ada, deployment_id)
    assert (found["status"], found["failure"]) == ("canceled", None)
    with pytest.raises(APIStatusError) as refused:
        await site.deploy(ada, WEB)
    assert (refused.value.status, refused.value.code) == (409, "invalid_state")
    assert "resume" in (refused.value.hint or "")
    await ada.projects.resume("shop")
    await site.only(before)
