"""A refused change is a row of the audit log: who asked, for what, and why not. A refused read is none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import pytest

from cygni import AsyncCygniClient, CygniError
from cygnid.core import changes, db, refusals, sealer
from cygnid.core.refusals import EVENT, PER_MINUTE
from cygnid.core.wakeups import Wakeups
from tests.make.api import Api
from tests.make.asgi import StreamingASGITransport


async def denied(api: Api, count: int, **query: Any) -> list[dict[str, Any]]:
    """The rows of refusals, newest first, once there are `count`."""
    owner, wakeups = await api.owner(), Wakeups(api.settings.database_url)
    async with _running(wakeups), asyncio.timeout(60):
        with wakeups.subscribe([EVENT]) as woken:
            while True:
                woken.clear()
                await sealer.seal(api.pool)
                rows = (
                    await owner.request("GET", "/audit-logs", query={"result": "denied", "limit": 100} | query)
                ).data
                if len(rows) >= count:
                    return rows
                await woken.wait()


@asynccontextmanager
async def _running(wakeups: Wakeups) -> AsyncIterator[None]:
    listening = asyncio.create_task(wakeups.run())
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def refused(client: AsyncCygniClient, method: str, path: str, **options: Any) -> str | None:
    with pytest.raises(CygniError) as caught:
        await client.request(method, path, **options)
    assert caught.value.status == 403
    return caught.value.code


async def project(api: Api, name: str = "shop") -> str:
    return (await (await api.owner()).request("POST", "/projects", json={"name": name})).data["id"]


async def test_who_asked_for_what_and_why_not(api: Api) -> None:
    viewer, identifier = await api.member("viewer"), await project(api)
    assert await refused(viewer, "PATCH", f"/projects/{identifier}", json={"labels": {}}) == "insufficient_scope"
    (row,) = await denied(api, 1)
    assert (row["action"], row["result"], row["teamId"], row["projectId"]) == (
        "access.denied",
        "denied",
        api.team_id,
        identifier,
    )
    assert row["resource"] == {"type": "project", "id": identifier, "name": None}
    assert row["before"] is None
    assert row["after"] == {
        "operation": "projects.update",
        "code": "insufficient_scope",
        "requiredScopes": ["projects:write"],
    }
    assert row["actor"]["type"] == "user"
    assert row["actor"]["tokenId"].startswith("tok_")
    assert row["requestId"].startswith("req_")


async def test_what_would_have_been_made_has_no_id(api: Api) -> None:
    viewer = await api.member("viewer")
    assert await refused(viewer, "POST", "/projects", json={"name": "mine"}) == "insufficient_scope"
    (row,) = await denied(api, 1)
    assert row["resource"] == {"type": "project", "id": None, "name": None}
    assert row["teamId"] == api.team_id


async def test_a_name_in_the_path_is_named(api: Api) -> None:
    viewer, identifier = await api.member("viewer"), await project(api)
    await refused(viewer, "PATCH", f"/projects/{identifier}/environments/production", json={})
    (row,) = await denied(api, 1)
    assert row["resource"] == {"type": "environment", "id": None, "name": "production"}
    assert (row["projectId"], row["environment"]) == (identifier, "production")


async def test_a_deploy_token_beyond_its_project_is_named(api: Api) -> None:
    own, other = await project(api), await project(api, "other")
    token = api.client(await api.token(None, ("*",), project_id=own))
    assert await refused(token, "POST", f"/projects/{other}/pause") == "forbidden"
    (row,) = await denied(api, 1)
    assert (row["projectId"], row["actor"]["type"]) == (other, "token")
    assert row["after"] == {"operation": "projects.pause", "code": "forbidden"}


async def test_what_is_refused_after_the_access_is_in_the_same_log(api: Api) -> None:
    """Nobody gives what they lack: found by the action, not at the door."""
    admin = await api.member("admin", ("tokens:write",))
    wanted = {"name": "more", "kind": "team", "teamId": api.team_id, "scopes": ["projects:delete"]}
    assert await refused(admin, "POST", "/tokens", json=wanted) == "insufficient_scope"
    (row,) = await denied(api, 1)
    assert (row["teamId"], row["after"]["operation"]) == (api.team_id, "tokens.create")


async def test_a_refused_push_is_named_and_a_refused_fetch_is_none(api: Api) -> None:
    identifier = await project(api)
    token = await api.token(api.owner_id, ("projects:read",))
    transport = StreamingASGITransport(api.app)
    async with httpx2.AsyncClient(base_url="http://test", transport=transport, auth=("git", token)) as git:
        for service in ("git-upload-pack", "git-receive-pack"):
            answer = await git.get("/git/shop.git/info/refs", params={"service": service})
            assert answer.status_code == 403
    (row,) = await denied(api, 1)
    assert row["after"] == {
        "operation": "git.push",
        "code": "insufficient_scope",
        "requiredScopes": ["deployments:write"],
    }
    assert row["resource"] == {"type": "project", "id": identifier, "name": "shop"}
    assert (row["teamId"], row["projectId"], row["actor"]["id"]) == (api.team_id, identifier, api.owner_id)
    assert row["requestId"] == answer.headers["x-request-id"]


async def test_reads_and_what_is_not_found_make_no_row(api: Api) -> None:
    viewer, outsider, identifier = await api.member("viewer"), await api.outsider(), await project(api)
    assert await refused(viewer, "GET", "/audit-logs") == "insufficient_scope"
    assert await refused(viewer, "GET", "/env", query={"projectId": identifier}) == "insufficient_scope"
    for client in (outsider, api.client("cygp_nobody")):
        with pytest.raises(CygniError):
            await client.request("DELETE", f"/projects/{identifier}", query={"confirm": "shop"})
    await refused(viewer, "POST", f"/projects/{identifier}/pause")
    assert [row["after"]["operation"] for row in await denied(api, 1)] == ["projects.pause"]


async def test_the_filter_leaves_the_rest_out(api: Api) -> None:
    viewer, identifier = await api.member("viewer"), await project(api)
    await refused(viewer, "POST", f"/projects/{identifier}/pause")
    await denied(api, 1)
    owner = await api.owner()
    done = (await owner.request("GET", "/audit-logs", query={"result": "success", "projectId": identifier})).data
    assert done
    assert {row["result"] for row in done} == {"success"}
    assert (await denied(api, 1, action="access.denied", projectId=identifier))[0]["result"] == "denied"


async def test_who_knocks_all_the_time_has_so_many_rows_and_others_theirs(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands = refusals.clock.now()
    monkeypatch.setattr(refusals.clock, "now", lambda: stands)
    viewer, other, identifier = await api.member("viewer"), await api.member("billing"), await project(api)
    for _ in range(PER_MINUTE + 5):
        await refused(viewer, "POST", f"/projects/{identifier}/pause")
    await refused(other, "POST", f"/projects/{identifier}/pause")
    rows = await denied(api, PER_MINUTE + 1)
    assert len(rows) == PER_MINUTE + 1
    assert len({row["actor"]["id"] for row in rows}) == 2


async def test_a_row_that_cannot_be_written_changes_no_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, identifier = await api.member("viewer"), await project(api)
    tried, true = asyncio.Event(), changes.record

    async def broken(*given: Any, **named: Any) -> str:
        tried.set()
        raise OSError("no database")

    monkeypatch.setattr(changes, "record", broken)
    assert await refused(viewer, "POST", f"/projects/{identifier}/pause") == "insufficient_scope"
    async with asyncio.timeout(60):
        await tried.wait()
    monkeypatch.setattr(changes, "record", true)
    await refused(viewer, "POST", f"/projects/{identifier}/resume")
    assert [row["after"]["operation"] for row in await denied(api, 1)] == ["projects.resume"]


async def test_what_is_not_written_yet_is_written_when_the_process_ends(api: Api) -> None:
    viewer, identifier = await api.member("viewer"), await project(api)
    # nobody else may write to the table meanwhile, so the row waits until the writer is told to end
    async with db.begin(api.pool) as tx:
        await tx.execute("LOCK TABLE changes IN EXCLUSIVE MODE")
        await refused(viewer, "POST", f"/projects/{identifier}/pause")
        stopping = asyncio.create_task(api.app.stop())
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(stopping), 0)
        assert not stopping.done()
    async with asyncio.timeout(60):
        await stopping
    async with db.read(api.pool) as reader:
        assert await reader.value("SELECT count(*) FROM changes WHERE type = $1", EVENT) == 1
