"""Members come by an invitation, have a role, and leave; the last owner stays."""

from datetime import timedelta
from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient
from cygnid.core import clock, db
from cygnid.resources.permissions.schemas import BUILT_IN_ROLES
from tests.make.api import Api, api_of
from tests.make.people import make_user


async def refused(client: AsyncCygniClient, method: str, path: str, **more: Any) -> tuple[int, str]:
    with pytest.raises(APIStatusError) as caught:
        await client.request(method, path, **more)
    return caught.value.status, caught.value.code


async def user(api: Api, name: str, **roles: str) -> str:
    async with db.begin(api.pool) as tx:
        return await make_user(tx, name, **roles)


async def member_id(api: Api, user_id: str) -> str:
    return await api.pool.fetchval("SELECT id FROM members WHERE team_id = $1 AND user_id = $2", api.team_id, user_id)


async def test_an_invitation_makes_one_person_a_member_once(api: Api) -> None:
    path = f"/teams/{api.team_id}/invitations"
    guest = await user(api, "grace")
    async with (
        await api.owner() as owner,
        api.client(await api.session(guest)) as grace,
        api.client(await api.session(api.outsider_id)) as eve,
    ):
        made = await owner.request("POST", path, json={"email": "Grace@example.test", "role": "developer"})
        token = made.data["acceptUrl"].partition("#")[2]
        assert len(token) == 43
        assert token not in str(await api.pool.fetch("SELECT * FROM invitations"))
        assert "acceptUrl" not in (await owner.request("GET", f"{path}/{made.data['id']}")).data
        assert await refused(owner, "POST", path, json={"email": "grace@example.test", "role": "viewer"}) == (
            409, "conflict",
        )  # fmt: skip
        body = {"invitationToken": token}
        shown = (await eve.request("POST", "/invitations/lookup", json=body)).data
        assert (shown["teamName"], shown["roleName"], shown["hasAccount"]) == ("Acme", "developer", True)
        assert await refused(eve, "POST", "/invitations/accept", json=body) == (403, "forbidden")
        joined = (await grace.request("POST", "/invitations/accept", json=body)).data
        assert (joined["userId"], joined["roleName"], joined["projectRoles"]) == (guest, "developer", [])
        assert await refused(grace, "POST", "/invitations/accept", json=body) == (410, "gone")
        assert await refused(eve, "POST", "/invitations/lookup", json=body) == (410, "gone")
        assert (await owner.request("GET", f"{path}/{made.data['id']}")).data["status"] == "accepted"
        assert await refused(owner, "POST", path, json={"email": "grace@example.test", "role": "viewer"}) == (
            409, "conflict",
        )  # fmt: skip
        assert [team["roleName"] for team in (await grace.request("GET", "/me")).data["teams"]] == ["developer"]


async def test_an_invitation_to_single_projects(api: Api) -> None:
    guest = await user(api, "grace")
    async with await api.owner() as owner, api.client(await api.session(guest)) as grace:
        project = (await owner.request("POST", "/projects", json={"name": "shop", "teamId": api.team_id})).data["id"]
        await owner.request("POST", "/projects", json={"name": "other", "teamId": api.team_id})
        body = {"email": "grace@example.test", "role": "developer", "projectIds": ["shop"]}
        url = (await owner.request("POST", f"/teams/{api.team_id}/invitations", json=body)).data["acceptUrl"]
        joined = await grace.request("POST", "/invitations/accept", json={"invitationToken": url.partition("#")[2]})
        assert (joined.data["roleId"], [one["projectId"] for one in joined.data["projectRoles"]]) == (None, [project])
        assert [one["name"] for one in (await grace.request("GET", "/projects")).data] == ["shop"]
        assert await refused(grace, "GET", f"/teams/{api.team_id}") == (403, "insufficient_scope")


async def test_an_invitation_ends(api: Api) -> None:
    path = f"/teams/{api.team_id}/invitations"
    async with await api.owner() as owner:
        first = (await owner.request("POST", path, json={"email": "a@example.test", "role": "viewer"})).data
        await owner.request("DELETE", f"{path}/{first['id']}")
        await owner.request("DELETE", f"{path}/{first['id']}")
        second = (await owner.request("POST", path, json={"email": "a@example.test", "role": "viewer"})).data
        start = clock.now()
        try:
            clock.set_clock(lambda: start + timedelta(days=7, seconds=1))
            found = (await owner.request("GET", path, query={"sort": "createdAt"})).data
            assert [one["status"] for one in found] == ["revoked", "expired"]
            for one in (first, second):
                body = {"invitationToken": one["acceptUrl"].partition("#")[2]}
                assert await refused(owner, "POST", "/invitations/lookup", json=body) == (410, "gone")
        finally:
            clock.set_clock(None)


async def test_whom_a_team_takes(api: Api) -> None:
    path = f"/teams/{api.team_id}/invitations"
    async with await api.owner() as owner, await api.member("admin") as admin:
        await owner.request("PATCH", f"/teams/{api.team_id}", json={"allowedEmailDomains": ["example.test"]})
        for json, field in (
            ({"email": "a@example.net", "role": "viewer"}, "email"),
            ({"email": "nobody", "role": "viewer"}, "email"),
            ({"email": "a@example.test", "role": "nothing"}, "role"),
            ({"email": "a@example.test", "role": "viewer", "projectIds": ["none"]}, "projectIds[0]"),
        ):
            with pytest.raises(APIStatusError) as wrong:
                await owner.request("POST", path, json=json)
            assert (wrong.value.status, wrong.value.details["field"]) == (400, field)
        for role in ("owner", "billing"):
            assert await refused(admin, "POST", path, json={"email": "a@example.test", "role": role}) == (
                403, "insufficient_scope",
            )  # fmt: skip
        await admin.request("POST", path, json={"email": "a@example.test", "role": "admin"})


async def test_an_invitation_is_mailed_where_mail_is_sent(database_url: str, open_folder: Any) -> None:
    async with api_of(database_url, open_folder, smtp_url="smtp+insecure://127.0.0.1:9") as api:
        async with await api.owner() as owner:
            body = {"email": "a@example.test", "role": "viewer"}
            made = await owner.request("POST", f"/teams/{api.team_id}/invitations", json=body)
        assert made.data["acceptUrl"] is None
        assert await api.pool.fetchval("SELECT count(*) FROM mails") == 1


async def test_roles_of_members(api: Api) -> None:
    path = f"/teams/{api.team_id}/members"
    colleague = await user(api, "kim", **{api.team_id: "viewer"})
    async with await api.owner() as owner, await api.member("admin") as admin, await api.outsider() as outsider:
        kim, ada = await member_id(api, colleague), await member_id(api, api.owner_id)
        changed = await admin.request("PATCH", f"{path}/{kim}", json={"role": "developer"})
        assert (changed.data["roleName"], changed.data["email"]) == ("developer", "kim@example.test")
        assert {one["roleName"] for one in (await admin.request("GET", path)).data} == {"owner", "admin", "developer"}
        for member, role in ((kim, "owner"), (kim, "billing"), (ada, "viewer")):
            assert await refused(admin, "PATCH", f"{path}/{member}", json={"role": role}) == (
                403, "insufficient_scope",
            )  # fmt: skip
        assert await refused(admin, "DELETE", f"{path}/{ada}") == (403, "insufficient_scope")
        assert await refused(outsider, "DELETE", f"{path}/{kim}") == (404, "not_found")
        assert await refused(owner, "PATCH", f"{path}/{ada}", json={"role": "admin"}) == (409, "last_owner")
        assert await refused(owner, "DELETE", f"{path}/{ada}") == (409, "last_owner")
        await owner.request("PATCH", f"{path}/{kim}", json={"role": "owner"})
        await owner.request("DELETE", f"{path}/{ada}")
        assert await refused(owner, "GET", path) == (404, "not_found")


async def test_who_leaves_takes_their_tokens_and_not_the_teams(api: Api) -> None:
    path = f"/teams/{api.team_id}"
    colleague = await user(api, "kim", **{api.team_id: "admin"})
    async with await api.owner() as owner, api.client(await api.token(colleague)) as kim:
        project = (await owner.request("POST", "/projects", json={"name": "shop", "teamId": api.team_id})).data["id"]
        await owner.request("POST", "/grants", json={"projectId": project, "userId": colleague, "role": "owner"})
        new = {"name": "ci", "kind": "team", "teamId": api.team_id, "scopes": ["projects:read"]}
        team_token = (await kim.request("POST", "/tokens", json=new)).data
        body = {"email": "friend@example.test", "role": "admin"}
        invited = (await kim.request("POST", f"{path}/invitations", json=body)).data
        await kim.request("DELETE", f"{path}/members/{await member_id(api, colleague)}")
        assert await refused(kim, "GET", "/projects/shop") == (404, "not_found")
        assert (await owner.request("GET", "/grants")).data == []
        found = (await owner.request("GET", f"{path}/invitations/{invited['id']}")).data
        assert found["status"] == "revoked", "what they offered they cannot give any more"
        async with api.client(team_token["secret"]) as bot:
            await bot.request("GET", "/projects/shop")
        said = await api.pool.fetchval("SELECT data FROM changes WHERE type = 'member.removed'")
        assert team_token["id"] in said


async def test_of_two_owners_who_leave_at_once_one_stays(api: Api) -> None:
    import asyncio

    other = await user(api, "kim", **{api.team_id: "owner"})

    async def leave(user_id: str) -> int:
        async with api.client(await api.token(user_id)) as client:
            try:
                path = f"/teams/{api.team_id}/members/{await member_id(api, user_id)}"
                return (await client.request("DELETE", path)).status
            except APIStatusError as error:
                return error.status

    assert sorted(await asyncio.gather(leave(api.owner_id), leave(other))) == [204, 409]
    assert await api.pool.fetchval(
        "SELECT count(*) FROM members WHERE team_id = $1 AND role_id = $2", api.team_id, BUILT_IN_ROLES["owner"]
    ) == 1  # fmt: skip
