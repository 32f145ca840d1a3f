"""A role on one project, or in one environment, for a member or a token, also for a time."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient
from cygnid.core import clock, db
from cygnid.resources.permissions import grants
from tests.make.api import Api
from tests.make.people import make_user


@pytest.fixture
def later() -> Iterator[Any]:
    """Moves the clock on."""
    yield lambda seconds: clock.set_clock(lambda: start + timedelta(seconds=seconds))
    clock.set_clock(None)


start = clock.now()


async def made(api: Api, owner: AsyncCygniClient, role: str) -> tuple[str, str, str]:
    """A project with staging, a member of that role, and a token of theirs."""
    project = (await owner.request("POST", "/projects", json={"name": "shop", "teamId": api.team_id})).data["id"]
    await owner.request("POST", f"/projects/{project}/environments", json={"name": "staging"})
    async with db.begin(api.pool) as tx:
        user = await make_user(tx, f"{role}-of-grants", **{api.team_id: role})
    return project, user, await api.token(user)


async def refused(client: AsyncCygniClient, method: str, path: str, **more: Any) -> tuple[int, str]:
    with pytest.raises(APIStatusError) as caught:
        await client.request(method, path, **more)
    return caught.value.status, caught.value.code


async def test_it_opens_one_environment_until_it_ends(api: Api, later: Any) -> None:
    async with await api.owner() as owner:
        project, user, secret = await made(api, owner, "viewer")
        where = {"projectId": project, "environment": "staging"}
        body = {**where, "userId": user, "role": "developer", "expiresAt": clock.text(start + timedelta(hours=1))}
        async with api.client(secret) as guest:
            assert await refused(guest, "GET", "/env", query=where) == (403, "insufficient_scope")
            grant = await owner.request("POST", "/grants", json=body)
            assert grant.status == 201
            assert {key: grant.data[key] for key in ("roleName", "environment", "userId", "tokenId")} == {
                "roleName": "developer", "environment": "staging", "userId": user, "tokenId": None,
            }  # fmt: skip
            assert (await owner.request("GET", f"/grants/{grant.data['id']}")).data == grant.data
            variable = {"projectId": project, "key": "A", "value": "b", "environments": ["staging"]}
            created = (await guest.request("POST", "/env", json=variable)).data["id"]
            assert [one["key"] for one in (await guest.request("GET", "/env", query=where)).data] == ["A"]
            for method, path, json in (
                ("POST", "/env", {**variable, "key": "B", "environments": ["production"]}),
                ("POST", "/env", {**variable, "key": "B", "environments": ["staging", "production"]}),
                ("PATCH", f"/env/{created}", {"environments": ["staging", "production"]}),
                ("PATCH", f"/projects/{project}", {"labels": {"a": "b"}}),
                ("POST", "/roles", {"name": "mine", "scopes": ["env:write"]}),
            ):
                assert await refused(guest, method, path, json=json) == (403, "insufficient_scope"), path
            later(3599)
            await guest.request("GET", "/env", query=where)
            later(3600)
            assert await refused(guest, "GET", "/env", query=where) == (403, "insufficient_scope")
        assert (await owner.request("GET", "/grants")).data == []
        assert await refused(owner, "GET", f"/grants/{grant.data['id']}") == (404, "not_found")
        async with db.begin(api.pool) as tx:
            assert await grants.remove_expired(tx) == 1
        assert await api.pool.fetchval("SELECT project_id FROM changes WHERE type = 'grant.expired'") == project


async def test_it_is_taken_away_at_once(api: Api) -> None:
    async with await api.owner() as owner, await api.outsider() as outsider:
        project, user, secret = await made(api, owner, "billing")
        grant = (
            await owner.request("POST", "/grants", json={"projectId": project, "userId": user, "role": "deployer"})
        ).data
        for query in ({"projectId": "shop"}, {"userId": user}, {"roleId": grant["roleId"]}):
            assert [one["id"] for one in (await owner.request("GET", "/grants", query=query)).data] == [grant["id"]]
        assert (await owner.request("GET", "/grants", query={"tokenId": "tok_x"})).data == []
        assert (await outsider.request("GET", "/grants")).data == []
        assert await refused(outsider, "DELETE", f"/grants/{grant['id']}") == (404, "not_found")
        async with api.client(secret) as guest:
            await guest.request("GET", "/deployments", query={"projectId": project})
            await owner.request("DELETE", f"/grants/{grant['id']}")
            assert await refused(guest, "GET", "/deployments", query={"projectId": project}) == (
                403,
                "insufficient_scope",
            )


async def test_what_cannot_be_granted(api: Api) -> None:
    async with await api.owner() as owner:
        project, user, _ = await made(api, owner, "viewer")
        token = (
            await owner.request(
                "POST", "/tokens",
                json={"name": "ci", "kind": "deploy", "projectId": project, "environment": "staging",
                      "scopes": ["deployments:write"]},
            )
        ).data["id"]  # fmt: skip
        base = {"projectId": project, "role": "deployer"}
        for more, field in (
            ({}, "userId"),
            ({"userId": user, "tokenId": token}, "userId"),
            ({"userId": api.outsider_id}, "userId"),
            ({"tokenId": "tok_nobody"}, "tokenId"),
            ({"tokenId": token}, "tokenId"),
            ({"userId": user, "role": "nobody"}, "role"),
            ({"userId": user, "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ):
            with pytest.raises(APIStatusError) as wrong:
                await owner.request("POST", "/grants", json=base | more)
            assert (wrong.value.status, wrong.value.details["field"]) == (400, field), more
        assert await refused(owner, "POST", "/grants", json={**base, "userId": user, "environment": "none"}) == (
            404,
            "not_found",
        )
        await owner.request("POST", "/grants", json={**base, "tokenId": token, "environment": "staging"})


async def test_who_has_all_on_a_project_gives_it_there_alone(api: Api) -> None:
    async with await api.owner() as owner:
        project, user, secret = await made(api, owner, "viewer")
        await owner.request("POST", "/grants", json={"projectId": project, "userId": user, "role": "admin"})
        other = (await owner.request("POST", "/projects", json={"name": "other", "teamId": api.team_id})).data["id"]
        async with api.client(secret) as guest:
            body = {"userId": api.owner_id, "projectId": project, "role": "deployer"}
            await guest.request("POST", "/grants", json=body)
            for more in ({"role": "owner"}, {"projectId": other}):
                assert await refused(guest, "POST", "/grants", json=body | more) == (403, "insufficient_scope")
            mine = (await owner.request("POST", "/grants", json=body | {"role": "owner"})).data["id"]
            assert await refused(guest, "DELETE", f"/grants/{mine}") == (403, "insufficient_scope")


async def test_it_goes_with_its_environment(api: Api) -> None:
    async with await api.owner() as owner:
        project, user, _ = await made(api, owner, "viewer")
        body = {"projectId": project, "userId": user, "role": "deployer", "environment": "staging"}
        await owner.request("POST", "/grants", json=body)
    await api.pool.execute("DELETE FROM environments WHERE name = 'staging'")
    assert await api.pool.fetchval("SELECT count(*) FROM grants") == 0
