"""What can be asked, by whom, and what bad input is answered with."""

from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient
from tests.make.api import Api
from tests.make.worker import STATIC, WEB, Installation

READS = ["", "/events", "/logs"]
CHANGES = ["/cancel", "/redeploy", "/promote", "/rollback"]


async def answer(client: AsyncCygniClient, method: str, path: str, **fields: Any) -> tuple[int, str]:
    with pytest.raises(APIStatusError) as error:
        await client.request(method, path, **fields)
    return error.value.status or 0, error.value.code or ""


async def test_another_team_finds_nothing(site: Installation, ada: AsyncCygniClient, api: Api) -> None:
    project = await site.project(ada)
    deployment_id = await site.live(ada, STATIC)
    eve = await api.outsider()
    for path in READS:
        assert (await answer(eve, "GET", f"/deployments/{deployment_id}{path}"))[0] == 404
    for path in CHANGES:
        assert (await answer(eve, "POST", f"/deployments/{deployment_id}{path}", json={}))[0] == 404
    assert (await answer(eve, "DELETE", f"/deployments/{deployment_id}"))[0] == 404
    assert (await answer(eve, "GET", "/deployments", query={"projectId": project["id"]}))[0] == 404
    for verb in ("restart", "rollback"):
        assert (await answer(eve, "POST", f"/projects/shop/{verb}", json={}))[0] == 404
    assert (await eve.request("GET", "/deployments")).data == []
    upload = await site.upload(STATIC)
    await site.project(eve, "rival")
    body = {"projectId": "rival", "uploadId": upload}
    assert (await answer(eve, "POST", "/deployments", json=body))[0] == 404
    body = {"projectId": "rival", "deploymentId": deployment_id}
    assert (await answer(eve, "POST", "/deployments", json=body))[0] == 404
    assert (await answer(eve, "POST", "/projects/rival/rollback", json={"deploymentId": deployment_id}))[0] == 404


async def test_roles(site: Installation, ada: AsyncCygniClient, api: Api) -> None:
    await site.project(ada)
    deployment_id = await site.live(ada, STATIC)
    viewer, deployer = await api.member("viewer"), await api.member("deployer", ("*", "projects:read"))
    for path in READS:
        assert (await viewer.request("GET", f"/deployments/{deployment_id}{path}")).status == 200
    for path in CHANGES:
        assert (await answer(viewer, "POST", f"/deployments/{deployment_id}{path}", json={}))[0] == 403
    assert (await answer(viewer, "DELETE", f"/deployments/{deployment_id}"))[0] == 403
    assert (await answer(deployer, "POST", f"/deployments/{deployment_id}/rollback", json={}))[0] == 403
    assert (await deployer.request("POST", "/projects/shop/restart", json={})).status == 201


async def test_a_token_of_one_project(site: Installation, ada: AsyncCygniClient, api: Api) -> None:
    project = await site.project(ada)
    await site.project(ada, "other")
    mine, theirs = await site.live(ada, STATIC), await site.live(ada, STATIC, project="other")
    bound = api.client(await api.token(project_id=project["id"]))
    assert [row["id"] for row in (await bound.request("GET", "/deployments")).data] == [mine]
    assert (await answer(bound, "GET", f"/deployments/{theirs}"))[0] == 403
    assert (await bound.request("POST", "/projects/shop/restart", json={})).status == 201


async def test_lists_and_their_filters(site: Installation, ada: AsyncCygniClient, api: Api) -> None:
    project = await site.project(ada)
    await site.project(ada, "other")
    await ada.request("POST", "/projects/shop/environments", json={"name": "staging"})
    first = await site.live(ada, STATIC, labels={"team": "core"})
    broken = await site.deploy(ada, {"a": "b"}, environment="staging")
    await site.end(ada, broken)
    other = await site.live(ada, STATIC, project="other")

    async def listed(**query: Any) -> list[str]:
        return [row["id"] for row in (await ada.request("GET", "/deployments", query=query)).data]

    assert await listed() == [other, broken, first]
    assert await listed(projectId="shop") == [broken, first] == await listed(projectId=project["id"])
    assert await listed(projectId="shop", environment="staging") == [broken]
    assert await listed(status="failed,canceled") == [broken]
    assert await listed(type="deploy", trigger="api", sort="createdAt") == [first, broken, other]
    assert await listed(trigger="cli") == []
    assert await listed(label="team:core") == [first]
    assert await listed(createdBy=api.owner_id, limit=1) == [other]
    assert await listed(createdBy="tok_nobody") == []
    assert await listed(until="2026-01-01") == []
    assert len(await listed(since="2026-01-01")) == 3
    assert await listed(branch="main") == [] == await listed(commitSha="0123456")
    assert (await answer(ada, "GET", "/deployments", query={"commitSha": "012345"}))[1] == "validation_error"
    assert (await answer(ada, "GET", "/deployments", query={"commit": "main"}))[1] == "unknown_parameter"
    assert (await answer(ada, "GET", "/deployments", query={"projectId": "nothing"}))[0] == 404
    assert (await answer(ada, "GET", "/deployments", query={"status": "canary"}))[0] == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "projectId"),
        ({"projectId": "shop", "uploadId": "upl_a", "deploymentId": "dep_a"}, "deploymentId"),
        ({"projectId": "shop", "uploadId": "upl_a", "strategy": "canary"}, "strategy"),
        ({"projectId": "shop", "uploadId": "upl_a", "message": "x" * 501}, "message"),
        ({"projectId": "shop", "uploadId": "upl_a", "branch": "main"}, "uploadId"),
        ({"projectId": "shop", "branch": "main", "tag": "v1"}, "branch"),
        ({"projectId": "shop", "commitSha": "0" * 40, "tag": "v1"}, "commitSha"),
        ({"projectId": "shop", "commitSha": "0123456"}, "commitSha"),
        ({"projectId": "shop", "branch": "-upload-pack=true"}, "branch"),
        ({"projectId": "shop", "tag": "a b"}, "tag"),
    ],
)
async def test_bad_input(site: Installation, ada: AsyncCygniClient, body: dict[str, Any], field: str) -> None:
    await site.project(ada)
    with pytest.raises(APIStatusError) as error:
        await ada.request("POST", "/deployments", json=body)
    assert (error.value.status, error.value.details["field"]) == (400, field)


async def test_what_is_not_there(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    for body in ({"uploadId": "upl_nothing"}, {"deploymentId": "dep_nothing"}):
        assert (await answer(ada, "POST", "/deployments", json={"projectId": "shop", **body}))[0] == 404
    body = {"projectId": "shop", "uploadId": await site.upload(STATIC), "environment": "nowhere"}
    assert (await answer(ada, "POST", "/deployments", json=body))[0] == 404
    assert (await answer(ada, "GET", "/deployments/dep_nothing"))[0] == 404


async def test_an_unfinished_upload(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    body = {"sizeBytes": 10, "sha256": "0" * 64, "contentType": "application/gzip"}
    upload = (await ada.request("POST", "/uploads", json=body)).data["id"]
    with pytest.raises(APIStatusError) as error:
        await ada.request("POST", "/deployments", json={"projectId": "shop", "uploadId": upload})
    assert (error.value.status, error.value.code) == (409, "invalid_state")
    assert error.value.details["receivedBytes"] == 0


async def test_asked_for_once_with_a_key(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    body = {"projectId": "shop", "uploadId": await site.upload(STATIC)}
    answers = [await ada.request("POST", "/deployments", json=body, idempotency_key="once") for _ in range(2)]
    assert answers[0].data["id"] == answers[1].data["id"]
    assert await site.value("SELECT count(*) FROM deployments") == 1


async def test_who_asked_is_said(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    for given, trigger in (
        ('{"name":"cli"}', "cli"),
        ('{"name":"dashboard"}', "dashboard"),
        ("cli", "api"),
        ("[]", "api"),
    ):
        body = {"projectId": "shop", "uploadId": await site.upload(STATIC)}
        headers = {"X-Cygni-Client": given}
        made = (await ada.request("POST", "/deployments", json=body, headers=headers)).data
        assert (made["trigger"], made["createdBy"]) == (trigger, site.api.owner_id)


async def test_tags_follow_what_moves(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    first = await site.live(ada, STATIC)
    seen = await ada.request("GET", f"/deployments/{first}")
    assert seen.etag
    unchanged = await ada.request("GET", f"/deployments/{first}", headers={"If-None-Match": seen.etag})
    assert unchanged.status == 304
    await site.live(ada, {"index.html": "two"})
    moved = await ada.request("GET", f"/deployments/{first}", headers={"If-None-Match": seen.etag})
    assert moved.status == 200
    assert (await ada.request("DELETE", f"/deployments/{first}", if_match=seen.etag)).status == 204


async def test_what_a_deleted_environment_had_can_be_read(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    await ada.request("POST", "/projects/shop/environments", json={"name": "staging"})
    deployment_id = await site.live(ada, WEB, environment="staging")
    await ada.request("DELETE", "/projects/shop/environments/staging", query={"confirm": "staging"})
    assert (await site.get(ada, deployment_id))["status"] == "success"
    assert (await answer(ada, "POST", f"/deployments/{deployment_id}/redeploy", json={}))[0] == 404
    await site.only()
