"""Roles of a team's own: made, changed and deleted by whoever has all that is in them."""

import pytest

from cygni import APIStatusError
from cygnid.resources.permissions.schemas import BUILT_IN_ROLES
from tests.make.api import Api


def code(caught: pytest.ExceptionInfo[APIStatusError]) -> tuple[int, str]:
    return caught.value.status, caught.value.code


async def test_the_catalogue_says_what_each_is_for(api: Api) -> None:
    async with api.client(await api.token(api.outsider_id, ["logs:read"])) as client:
        found = (await client.request("GET", "/permissions", query={"limit": 100})).data
    assert len(found) == 49
    assert {one["name"]: one["dangerous"] for one in found}["env:reveal"] is True
    assert found[0] == {
        "name": "projects:read", "resource": "projects", "action": "read", "dangerous": False,
        "description": "See projects, their environments, processes and instances.",
    }  # fmt: skip


async def test_a_role_lives(api: Api) -> None:
    async with await api.owner() as owner:
        body = {"name": "support", "scopes": ["projects:read", "logs:read"], "description": "looks"}
        made = await owner.request("POST", "/roles", json=body)
        role = made.data
        assert (made.status, role["builtIn"], role["teamId"]) == (201, False, api.team_id)
        assert (await owner.request("GET", f"/roles/{role['id']}")).data == role
        names = [one["name"] for one in (await owner.request("GET", "/roles", query={"sort": "createdAt"})).data]
        assert sorted(names) == sorted([*BUILT_IN_ROLES, "support"])
        with pytest.raises(APIStatusError) as twice:
            await owner.request("POST", "/roles", json=body)
        assert code(twice) == (409, "name_taken")
        patched = await owner.request("PATCH", f"/roles/{role['id']}", json={"scopes": ["logs:*"], "description": None})
        assert (patched.data["scopes"], patched.data["description"]) == (["logs:*"], None)
        with pytest.raises(APIStatusError) as stale:
            await owner.request(
                "PATCH", f"/roles/{role['id']}", json={"name": "x"}, headers={"If-Match": made.headers["etag"]}
            )
        assert code(stale) == (412, "precondition_failed")
        await owner.request("DELETE", f"/roles/{role['id']}")
        with pytest.raises(APIStatusError) as gone:
            await owner.request("GET", f"/roles/{role['id']}")
        assert gone.value.status == 404
        rows = await api.pool.fetch("SELECT type FROM changes WHERE type LIKE 'role.%' ORDER BY number")
        assert [row["type"] for row in rows] == ["role.created", "role.updated", "role.deleted"]


async def test_built_in_roles_stay_and_used_ones_too(api: Api) -> None:
    async with await api.owner() as owner:
        for method in ("PATCH", "DELETE"):
            with pytest.raises(APIStatusError) as fixed:
                await owner.request(
                    method, f"/roles/{BUILT_IN_ROLES['viewer']}", json={} if method == "PATCH" else None
                )
            assert code(fixed) == (409, "invalid_state")
        role = (await owner.request("POST", "/roles", json={"name": "mine", "scopes": ["logs:read"]})).data
        await api.pool.execute("UPDATE members SET role_id = $1 WHERE user_id = $2", role["id"], api.outsider_id)
        with pytest.raises(APIStatusError) as used:
            await owner.request("DELETE", f"/roles/{role['id']}")
        assert code(used) == (409, "in_use")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "Bad_Name", "scopes": ["logs:read"]}, "name"),
        ({"name": "a", "scopes": ["nothing:read"]}, "scopes[0]"),
        ({"name": "a", "scopes": ["logs:read", "instance:admin"]}, "scopes[1]"),
        ({"name": "a", "scopes": []}, "scopes"),
    ],
)
async def test_what_a_role_cannot_be(api: Api, body: dict[str, object], field: str) -> None:
    async with await api.owner() as owner:
        with pytest.raises(APIStatusError) as wrong:
            await owner.request("POST", "/roles", json=body)
    assert (wrong.value.status, wrong.value.details["field"]) == (400, field)


async def test_nobody_makes_or_changes_a_role_with_more_than_they_have(api: Api) -> None:
    async with await api.owner() as owner, await api.member("admin") as admin:
        with pytest.raises(APIStatusError) as more:
            await admin.request("POST", "/roles", json={"name": "money", "scopes": ["billing:write", "logs:read"]})
        assert code(more) == (403, "insufficient_scope")
        assert more.value.details["requiredScopes"] == ["billing:write"]
        with pytest.raises(APIStatusError):
            await admin.request("POST", "/roles", json={"name": "all", "scopes": ["*"]})
        theirs = (await owner.request("POST", "/roles", json={"name": "money", "scopes": ["billing:write"]})).data["id"]
        mine = (await admin.request("POST", "/roles", json={"name": "logs", "scopes": ["logs:read"]})).data["id"]
        for method, role, json in (
            ("PATCH", theirs, {"scopes": ["logs:read"]}),
            ("DELETE", theirs, None),
            ("PATCH", mine, {"scopes": ["logs:read", "teams:delete"]}),
        ):
            with pytest.raises(APIStatusError) as refused:
                await admin.request(method, f"/roles/{role}", json=json)
            assert code(refused) == (403, "insufficient_scope")
    # a token narrower than its user makes only what it may itself
    async with await api.member("admin", ["roles:write", "logs:read"]) as narrow:
        await narrow.request("POST", "/roles", json={"name": "narrow", "scopes": ["logs:read"]})
        with pytest.raises(APIStatusError) as refused:
            await narrow.request("POST", "/roles", json={"name": "wide", "scopes": ["env:read"]})
        assert code(refused) == (403, "insufficient_scope")


async def test_other_teams_roles_are_not_seen(api: Api) -> None:
    async with await api.owner() as owner, await api.outsider() as outsider:
        role = (await owner.request("POST", "/roles", json={"name": "mine", "scopes": ["logs:read"]})).data["id"]
        assert len((await outsider.request("GET", "/roles")).data) == 8
        for method in ("GET", "PATCH", "DELETE"):
            with pytest.raises(APIStatusError) as hidden:
                await outsider.request(method, f"/roles/{role}", json={} if method == "PATCH" else None)
            assert code(hidden) == (404, "not_found")
