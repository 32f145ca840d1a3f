"""Others say yes before anything of a deployment begins."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient
from cygnid.core import clock, db
from cygnid.resources.deployments.approvals import PATIENCE
from cygnid.resources.deployments.tasks import expire_approvals
from tests.make.worker import STATIC, Installation

PRODUCTION = "/projects/shop/environments/production"


@pytest.fixture
def time() -> Iterator[None]:
    yield
    clock.set_clock(None)


async def code(client: AsyncCygniClient, path: str, json: Any = None) -> str:
    try:
        await client.request("POST", path, json={} if json is None else json)
    except APIStatusError as error:
        return error.code or ""
    return "done"


async def shop(site: Installation, ada: AsyncCygniClient, number: int = 1, **fields: Any) -> None:
    await site.project(ada)
    await ada.request("PATCH", PRODUCTION, json={"requiredApprovals": number, **fields})


async def test_it_holds_and_runs_nothing_until_the_last_one(site: Installation, ada: AsyncCygniClient) -> None:
    await shop(site, ada, 2)
    waiting = await site.deploy(ada, STATIC)
    found = await site.get(ada, waiting)
    assert (found["status"], found["approvalsRequired"], found["approvals"]) == ("awaitingApproval", 2, [])
    assert {step["status"] for step in found["steps"]} == {"pending"}
    bo, eve = await site.api.member("developer"), await site.api.member("admin")
    approve = f"/deployments/{waiting}/approve"
    assert await code(ada, approve) == "self_approval"
    assert await code(await site.api.member("viewer"), approve) == "insufficient_scope"
    assert await code(site.api.client(await site.api.token()), approve) == "forbidden"
    # one person is one, however often
    assert [await code(bo, approve, {"comment": "Seen"}) for _ in range(2)] == ["done", "done"]
    found = await site.get(ada, waiting)
    assert (found["status"], [one["comment"] for one in found["approvals"]]) == ("awaitingApproval", ["Seen"])
    assert found["startedAt"] is None
    assert await code(eve, approve) == "done"
    ended = await site.end(ada, waiting)
    assert ended["status"] == "success", ended["failure"]
    events = [row["message"] for row in (await ada.request("GET", f"/deployments/{waiting}/events")).data]
    assert events[:2] == ["Made", "Waits for 2 approvals"]
    assert events[3].endswith("2 of 2")
    assert await code(await site.api.member("owner"), approve) == "invalid_state"


async def test_twenty_at_once_are_counted_one_by_one(site: Installation, ada: AsyncCygniClient) -> None:
    await shop(site, ada, 3)
    waiting = await site.deploy(ada, STATIC)
    others = [await site.api.member(role) for role in ("developer", "admin")]
    answers = await asyncio.gather(
        *(code(other, f"/deployments/{waiting}/approve") for other in others for _ in range(10))
    )
    assert set(answers) == {"done"}
    found = await site.get(ada, waiting)
    assert (found["status"], len(found["approvals"])) == ("awaitingApproval", 2)
    last = await site.api.member("owner")
    assert await code(last, f"/deployments/{waiting}/approve") == "done"
    assert (await site.end(ada, waiting))["status"] == "success"


async def test_whoever_made_the_token_is_its_author_too(site: Installation, ada: AsyncCygniClient) -> None:
    await shop(site, ada)
    made = await ada.request("POST", "/tokens", json={"name": "ci", "kind": "team", "scopes": ["*"]})
    bot = site.api.client(made.data["secret"])
    upload = await site.upload(STATIC, by=made.data["id"])
    waiting = (await bot.request("POST", "/deployments", json={"projectId": "shop", "uploadId": upload})).data["id"]
    assert await code(ada, f"/deployments/{waiting}/approve") == "self_approval"
    assert await code(await site.api.member("admin"), f"/deployments/{waiting}/approve") == "done"


async def test_where_it_is_protected_the_role_alone_is_not_enough(site: Installation, ada: AsyncCygniClient) -> None:
    await shop(site, ada)
    waiting = await site.deploy(ada, STATIC)
    await ada.request("PATCH", PRODUCTION, json={"protected": True})
    approve = f"/deployments/{waiting}/approve"
    assert await code(await site.api.member("developer"), approve) == "environment_protected"
    assert await code(await site.api.member("admin"), approve) == "done"


async def test_a_newer_one_counts_once_it_is_queued(site: Installation, ada: AsyncCygniClient) -> None:
    await shop(site, ada)
    older, newer = await site.deploy(ada, STATIC), await site.deploy(ada, {"index.html": "two"})
    assert (await site.get(ada, older))["status"] == "awaitingApproval"
    bo = await site.api.member("admin")
    assert await code(bo, f"/deployments/{newer}/approve") == "done"
    assert (await site.get(ada, older))["status"] == "superseded"
    assert await code(bo, f"/deployments/{older}/approve") == "invalid_state"
    assert (await site.end(ada, newer))["status"] == "success"


async def test_it_is_canceled_by_hand_or_by_time(site: Installation, ada: AsyncCygniClient, time: None) -> None:
    await shop(site, ada)
    canceled, forgotten = await site.deploy(ada, STATIC), await site.deploy(ada, STATIC)
    assert await code(ada, f"/deployments/{canceled}/cancel") == "done"
    assert (await site.get(ada, canceled))["status"] == "canceled"
    await expire_approvals.run(site.backends)
    assert (await site.get(ada, forgotten))["status"] == "awaitingApproval"
    later = clock.now() + PATIENCE + timedelta(hours=1)
    clock.set_clock(lambda: later)
    await expire_approvals.run(site.backends)
    assert (await site.get(ada, forgotten))["status"] == "canceled"


async def test_asked_for_where_none_is_required(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    waiting = await site.deploy(ada, STATIC, waitForApproval=True)
    assert (await site.get(ada, waiting))["approvalsRequired"] == 1
    assert await code(await site.api.member("developer"), f"/deployments/{waiting}/approve") == "done"
    assert (await site.end(ada, waiting))["status"] == "success"


async def test_what_is_approved_is_a_commit(site: Installation, ada: AsyncCygniClient) -> None:
    await shop(site, ada)
    source = {"repositoryUrl": "https://git.example.com/shop.git", "branch": "main"}
    await ada.request("PATCH", "/projects/shop", json={"source": source})
    assert await code(ada, "/deployments", {"projectId": "shop", "branch": "main"}) == "invalid_state"
    assert await code(ada, "/deployments", {"projectId": "shop", "commitSha": "a" * 40}) == "done"
    async with db.read(site.api.pool) as read:
        assert await read.value("SELECT status FROM deployments") == "awaitingApproval"
