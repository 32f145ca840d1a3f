"""A team is made by whoever will own it, changed, deleted with its projects, restored and purged."""

from datetime import timedelta
from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient
from cygnid.core import clock, db
from cygnid.resources.permissions import teams
from tests.make.api import Api


async def refused(client: AsyncCygniClient, method: str, path: str, **more: Any) -> tuple[int, str]:
    with pytest.raises(APIStatusError) as caught:
        await client.request(method, path, **more)
    return caught.value.status, caught.value.code


async def test_whoever_makes_a_team_owns_it(api: Api) -> None:
    async with await api.member("viewer") as viewer, api.client(await api.token()) as bot:
        made = await viewer.request("POST", "/teams", json={"name": "Mine", "slug": "mine"})
        assert (made.data["plan"], made.data["memberCount"]) == (api.settings.default_plan, 1)
        assert {team["roleName"] for team in (await viewer.request("GET", "/me")).data["teams"]} == {"viewer", "owner"}
        assert await refused(viewer, "POST", "/teams", json={"name": "x", "slug": "mine"}) == (409, "name_taken")
        assert await refused(viewer, "POST", "/teams", json={"name": "x", "slug": "Not_A_Slug"}) == (
            400, "validation_error",
        )  # fmt: skip
        assert await refused(bot, "POST", "/teams", json={"name": "x", "slug": "x"}) == (403, "forbidden")
        assert [one["slug"] for one in (await viewer.request("GET", "/teams")).data] == ["mine", "acme"]
        assert [one["slug"] for one in (await bot.request("GET", "/teams")).data] == ["acme"]


async def test_settings_of_a_team(api: Api) -> None:
    path = f"/teams/{api.team_id}"
    async with await api.owner() as owner:
        before = await owner.request("GET", path)
        changed = await owner.request(
            "PATCH", path, json={"name": "Acme Inc", "maxTokenAgeDays": 90, "allowedIps": ["127.0.0.0/8"]}
        )
        assert (changed.data["name"], changed.data["maxTokenAgeDays"]) == ("Acme Inc", 90)
        stale = {"If-Match": before.headers["etag"]}
        assert await refused(owner, "PATCH", path, json={"name": "x"}, headers=stale) == (412, "precondition_failed")
        for networks in (["10.0.0.0/8"], ["nowhere"]):
            assert await refused(owner, "PATCH", path, json={"allowedIps": networks}) == (400, "validation_error")
        cleared = await owner.request("PATCH", path, json={"allowedIps": None, "maxTokenAgeDays": None})
        assert (cleared.data["allowedIps"], cleared.data["maxTokenAgeDays"]) == ([], None)


async def test_a_team_is_deleted_with_its_projects_and_restored_with_them(api: Api) -> None:
    path = f"/teams/{api.team_id}"
    async with await api.owner() as owner, await api.member("admin") as admin, api.client(await api.token()) as bot:
        await owner.request("POST", "/projects", json={"name": "early", "teamId": api.team_id})
        await owner.request("DELETE", "/projects/early", query={"confirm": "early"})
        await owner.request("POST", "/projects", json={"name": "shop", "teamId": api.team_id})
        assert await refused(owner, "DELETE", path) == (400, "validation_error")
        assert await refused(admin, "DELETE", path, query={"confirm": "Acme"}) == (403, "insufficient_scope")
        gone = await owner.request("DELETE", path, query={"confirm": "Acme"})
        assert (gone.status, gone.data["purgeAt"] is None) == (202, False)
        assert (await owner.request("DELETE", path, query={"confirm": "Acme"})).data["purgeAt"] == gone.data["purgeAt"]
        assert await refused(owner, "GET", path) == (404, "not_found")
        assert await refused(owner, "GET", "/projects/shop") == (404, "not_found")
        assert await refused(admin, "POST", f"{path}/restore") == (403, "insufficient_scope")
        assert await refused(bot, "GET", "/projects") == (401, "unauthorized")
        assert (await owner.request("POST", f"{path}/restore")).data["deletedAt"] is None
        assert (await owner.request("GET", "/projects/shop")).data["status"] == "active"
        assert (await owner.request("GET", "/projects/early")).data["status"] == "deleted"
        await bot.request("GET", "/projects")


async def test_it_is_purged_after_its_projects(api: Api) -> None:
    path = f"/teams/{api.team_id}"
    async with await api.owner() as owner, await api.member("viewer"), api.client(await api.token()):
        await owner.request("POST", "/roles", json={"name": "mine", "scopes": ["logs:read"]})
        await owner.request("POST", "/projects", json={"name": "shop", "teamId": api.team_id})
        body = {"email": "a@example.test", "role": "mine"}
        await owner.request("POST", f"{path}/invitations", json=body)
        await owner.request("DELETE", path, query={"confirm": "Acme"})
        later = clock.now() + timedelta(days=7, minutes=2)
        async with db.begin(api.pool) as tx:
            assert await teams.purgeable(tx, clock.now()) == []
            assert await teams.purgeable(tx, later) == [], "its project has files"
            await tx.execute("DELETE FROM projects")
            assert await teams.purgeable(tx, later) == [api.team_id]
            await teams.purge(tx, api.team_id)
        assert await refused(owner, "POST", f"{path}/restore") == (404, "not_found")
    assert await api.pool.fetchval("SELECT count(*) FROM changes WHERE team_id = $1", api.team_id) > 0


async def test_too_late_to_restore(api: Api) -> None:
    path, start = f"/teams/{api.team_id}", clock.now()
    async with await api.owner() as owner:
        await owner.request("DELETE", path, query={"confirm": "Acme"})
        try:
            clock.set_clock(lambda: start + timedelta(days=8))
            assert await refused(owner, "POST", f"{path}/restore") == (410, "gone")
        finally:
            clock.set_clock(None)
