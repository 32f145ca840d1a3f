"""Builds wait for a place to build in; nothing else waits with them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cygni import AsyncCygniClient
from tests.make.api import Api, api_of
from tests.make.stage import until
from tests.make.worker import WEB, Installation


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_of(database_url, tmp_path, builds_at_once=1) as api:
        yield api


async def held(site: Installation, ada: AsyncCygniClient, *projects: str) -> str:
    """A build that keeps the only place until `site.builder.hold` is set."""
    for name in projects:
        await site.project(ada, name)
    site.builder.hold = asyncio.Event()
    first = await site.deploy(ada, {**WEB, "a": "held"}, projects[0])
    await site.step(ada, first, "build")
    return first


async def test_builds_wait_in_turn_and_say_so(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada, "before")
    await site.live(ada, WEB, project="before")  # how long builds take is known from here on
    first = await held(site, ada, "shop", "blog")
    await ada.request("POST", "/projects/shop/environments", json={"name": "staging"})
    staging = await site.deploy(ada, WEB, "shop", environment="staging")
    blog = await site.deploy(ada, WEB, "blog")
    found = {each: await site.get(ada, each) for each in (staging, blog)}
    assert {each: deployment["queuePosition"] for each, deployment in found.items()} == {blog: 1, staging: 2}
    assert all(deployment["estimatedStartAt"] > deployment["createdAt"] for deployment in found.values())
    for deployment in found.values():
        assert (deployment["status"], deployment["leaseExpiresAt"], deployment["blockedById"]) == ("queued", None, None)
    listed = (await ada.request("GET", "/deployments?status=queued")).data
    assert {each["id"]: each["queuePosition"] for each in listed} == {blog: 1, staging: 2}
    assert site.builder.hold is not None
    site.builder.hold.set()
    ended = [await site.end(ada, each) for each in (first, blog, staging)]
    assert [deployment["status"] for deployment in ended] == ["success"] * 3
    assert ended[1]["startedAt"] < ended[2]["startedAt"]
    assert ended[1]["queuePosition"] is None


async def test_the_older_of_two_that_wait_is_superseded(site: Installation, ada: AsyncCygniClient) -> None:
    await held(site, ada, "shop", "blog")
    older = await site.deploy(ada, WEB, "blog")
    newer = await site.deploy(ada, {**WEB, "a": "newer"}, "blog")
    assert (await site.get(ada, older))["status"] == "superseded"
    assert (await site.get(ada, newer))["queuePosition"] == 1
    assert site.builder.hold is not None
    site.builder.hold.set()
    assert (await site.end(ada, newer))["status"] == "success"


async def test_rollbacks_and_restarts_wait_for_no_build(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada, "blog")
    old = await site.live(ada, WEB, project="blog")
    await site.live(ada, {**WEB, "a": "2"}, project="blog")
    first = await held(site, ada, "shop", "site")
    waiting = await site.deploy(ada, {**WEB, "a": "3"}, "site")
    for path, body in (("rollback", {"deploymentId": old}), ("restart", {})):
        answer = await ada.request("POST", f"/projects/blog/{path}", json=body)
        assert (await site.end(ada, answer.data["id"]))["status"] == "success"
    assert (await site.get(ada, first))["status"] == "building"
    assert (await site.get(ada, waiting))["status"] == "queued"


async def test_waiting_outlives_every_lease_and_worker(site: Installation, ada: AsyncCygniClient) -> None:
    first = await held(site, ada, "shop", "blog")
    waiting = await site.deploy(ada, WEB, "blog")
    await until(lambda: _is_let_go(site, waiting))
    await site.workers.pop().lose()
    await site.worker()
    await until(lambda: _attempts(site, first, 2))
    assert (await site.get(ada, waiting))["status"] == "queued"
    assert site.builder.hold is not None
    site.builder.hold.set()
    assert (await site.end(ada, waiting))["status"] == "success"
    assert await site.value("SELECT tries FROM deployments WHERE id = $1", waiting) == 0


async def test_a_build_that_is_canceled_gives_its_place_to_the_next(site: Installation, ada: AsyncCygniClient) -> None:
    first = await held(site, ada, "shop", "blog", "site")
    canceled, last = await site.deploy(ada, WEB, "blog"), await site.deploy(ada, WEB, "site")
    assert (await site.get(ada, last))["queuePosition"] == 2
    await ada.request("POST", f"/deployments/{canceled}/cancel")
    assert (await site.get(ada, last))["queuePosition"] == 1
    site.builder.hold = None
    await ada.request("POST", f"/deployments/{first}/cancel")
    assert (await site.end(ada, last))["status"] == "success"
    assert [(await site.get(ada, each))["status"] for each in (first, canceled)] == ["canceled"] * 2


async def _is_let_go(site: Installation, deployment_id: str) -> bool:
    return await site.value("SELECT due_at IS NULL AND attempt > 0 FROM deployments WHERE id = $1", deployment_id)


async def _attempts(site: Installation, deployment_id: str, number: int) -> bool:
    return await site.value("SELECT attempt >= $2 FROM deployments WHERE id = $1", deployment_id, number)
