"""Why somebody may, or may not, and what would allow it."""

from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient
from cygnid.core import db
from tests.make.api import Api
from tests.make.people import make_user


async def check(client: AsyncCygniClient, scope: str, *, user: str | None = None, **where: str) -> dict[str, Any]:
    body = {"checks": [{"scope": scope, **where}], "userId": user}
    return (await client.request("POST", "/permissions/check", json=body)).data["checks"][0]


async def test_it_tells_why_and_what_would_allow(api: Api) -> None:
    async with db.begin(api.pool) as tx:
        user = await make_user(tx, "guest", **{api.team_id: "viewer"})
    async with await api.owner() as owner, api.client(await api.token(user)) as guest:
        project = (await owner.request("POST", "/projects", json={"name": "shop", "teamId": api.team_id})).data["id"]
        allowed = await check(guest, "logs:read", projectId="shop", environment="production")
        assert (allowed["allowed"], allowed["reason"]) == (True, "The role viewer has it.")
        assert (allowed["grantedBy"]["type"], allowed["projectId"], allowed["wouldAllow"]) == ("role", project, [])
        denied = await check(guest, "deployments:promote", projectId=project)
        assert (denied["allowed"], denied["reason"]) == (False, "It is not among what the viewer gives.")
        assert [one["name"] for one in denied["wouldAllow"]] == ["operator", "developer", "admin", "owner"]
        await owner.request("POST", "/grants", json={"projectId": project, "userId": user, "role": "operator"})
        granted = await check(owner, "deployments:promote", user=user, projectId=project)
        assert granted["reason"] == "A grant of operator on the project has it."
        assert (await check(guest, "instance:admin"))["allowed"] is False
        assert (await check(owner, "instance:admin"))["allowed"] is True
    async with api.client(await api.token(user, ["env:read"])) as narrow:
        lacking = await check(narrow, "logs:read", projectId=project)
        assert lacking["reason"] == "The token that you use lacks it."
        assert [one["type"] for one in lacking["wouldAllow"]] == ["token"]
    async with api.client(await api.token(project_id=project, scopes=["logs:read"])) as bot:
        assert (await check(bot, "logs:read", projectId=project))["grantedBy"]["type"] == "token"
        assert (await check(bot, "logs:read"))["reason"].startswith("A deploy token acts in its own project")


async def test_effective_says_what_gives_it(api: Api) -> None:
    async with db.begin(api.pool) as tx:
        user = await make_user(tx, "guest", **{api.team_id: "deployer"})
    async with await api.owner() as owner, api.client(await api.token(user)) as guest:
        project = (await owner.request("POST", "/projects", json={"name": "shop", "teamId": api.team_id})).data["id"]
        body = {"projectId": project, "userId": user, "role": "billing", "environment": "production"}
        grant = (await owner.request("POST", "/grants", json=body)).data["id"]
        mine = (await guest.request("GET", "/permissions/effective", query={"limit": 100})).data
        assert [one["scope"] for one in mine if one["grantedBy"]["type"] == "role"] == [
            "deployments:read", "deployments:write", "events:read", "logs:read", "metrics:read", "projects:read",
        ]  # fmt: skip
        granted = [one for one in mine if one["grantedBy"]["id"] == grant]
        assert {(one["projectId"], one["environment"]) for one in granted} == {(project, "production")}
        assert (await owner.request("GET", "/permissions/effective", query={"userId": user, "limit": 100})).data == mine
        other = (await owner.request("POST", "/projects", json={"name": "other", "teamId": api.team_id})).data["id"]
        query = {"userId": user, "projectId": other}
        assert len((await owner.request("GET", "/permissions/effective", query=query)).data) == 6


async def test_others_are_asked_about_by_who_may_see_members(api: Api) -> None:
    async with await api.member("deployer") as deployer, await api.outsider() as outsider, await api.owner() as owner:
        project = (await owner.request("POST", "/projects", json={"name": "shop", "teamId": api.team_id})).data["id"]
        for client, user, status in (
            (deployer, api.owner_id, 403),
            (owner, api.outsider_id, 404),
            (outsider, api.owner_id, 404),
            (outsider, None, 404),
        ):
            with pytest.raises(APIStatusError) as caught:
                await check(client, "logs:read", user=user, projectId=project)
            assert caught.value.status == status
        for item in ({"scope": "nothing:read"}, {"scope": "logs:read", "environment": "production"}):
            with pytest.raises(APIStatusError) as wrong:
                await owner.request("POST", "/permissions/check", json={"checks": [item]})
            assert wrong.value.status == 400
