"""A role on a project, or in one environment, counts there and nowhere else, until it ends."""

from datetime import timedelta

import pytest

from cygnid.core import clock, db
from cygnid.core.access import Held, Holding, Permission, expand, held_in, require_no_less, team_access
from cygnid.core.actors import Actor
from cygnid.core.errors import InsufficientScope, NotFound
from cygnid.core.ids import new_id
from cygnid.resources.permissions.schemas import BUILT_IN_ROLES
from cygnid.resources.teams.access import parts_with
from tests.make.api import Api
from tests.make.people import acting, make_user

READ, WRITE, LOGS = Permission.PROJECTS_READ, Permission.DEPLOYMENTS_WRITE, Permission.LOGS_READ


async def grant(tx: db.Tx, team_id: str, user_id: str, role: str, *where: str, seconds: int = 60) -> None:
    await tx.execute(
        """INSERT INTO grants (id, team_id, user_id, role_id, project_id, environment, expires_at, created_at,
               created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'system')""",
        new_id("grant"),
        team_id,
        user_id,
        BUILT_IN_ROLES[role],
        where[0],
        where[1] if len(where) > 1 else None,
        clock.now() + timedelta(seconds=seconds),
        clock.now(),
    )


async def project(api: Api, name: str) -> str:
    async with await api.owner() as owner:
        made = (await owner.request("POST", "/projects", json={"name": name, "teamId": api.team_id})).data["id"]
        await owner.request("POST", f"/projects/{made}/environments", json={"name": "staging"})
    return made


async def test_it_counts_where_it_was_given(api: Api) -> None:
    one, other, third = await project(api, "one"), await project(api, "other"), await project(api, "third")
    async with db.begin(api.pool) as tx:
        user = await make_user(tx, "guest", **{api.team_id: "billing"})
        await grant(tx, api.team_id, user, "deployer", one)
        await grant(tx, api.team_id, user, "operator", other, "staging")
        await grant(tx, api.team_id, user, "deployer", third, seconds=0)
        held = await held_in(tx, acting(user), api.team_id)
        assert WRITE in held.on(one)
        assert WRITE in held.on(one, "staging")
        assert WRITE not in held.on(other, "staging")
        assert LOGS in held.on(other, "staging")
        assert LOGS not in held.on(other)
        assert LOGS not in held.on()
        assert LOGS in held.on(other, partly=True)
        assert LOGS not in held.on(third, partly=True)
        assert WRITE in held.anywhere
        assert Permission.ENV_READ not in held.anywhere
        assert held.granted(other, "staging")
        assert not held.granted(one, "staging"), "only a grant on just this environment"
        parts = await parts_with(tx, acting(user), None, LOGS)
        assert (parts.team_ids, parts.project_ids, parts.environments) == ([], [one], [(other, "staging")])
        assert (await parts_with(tx, acting(user), api.team_id, READ)).team_ids == [api.team_id]
        with pytest.raises(InsufficientScope):
            await parts_with(tx, acting(user), None, Permission.ENV_READ)
        with pytest.raises(InsufficientScope):
            await team_access(tx, acting(user, ["logs:read"]), api.team_id, WRITE, project_id=one)


async def test_it_needs_the_membership(api: Api) -> None:
    made = await project(api, "one")
    async with db.begin(api.pool) as tx:
        await grant(tx, api.team_id, api.outsider_id, "owner", made)
        with pytest.raises(NotFound):
            await held_in(tx, acting(api.outsider_id), api.team_id)


async def test_lists_show_what_is_granted(api: Api) -> None:
    one, other, _ = await project(api, "one"), await project(api, "other"), await project(api, "third")
    async with db.begin(api.pool) as tx:
        user = await make_user(tx, "guest")
        member = ("INSERT INTO members (id, team_id, user_id, role_id, created_at) VALUES ($1, $2, $3, NULL, $4)",)
        await tx.execute(*member, new_id("mem"), api.team_id, user, clock.now())
        await grant(tx, api.team_id, user, "deployer", one)
        await grant(tx, api.team_id, user, "deployer", other, "staging")
    async with api.client(await api.token(user)) as guest:
        assert {found["id"] for found in (await guest.request("GET", "/projects")).data} == {one, other}
        assert (await guest.request("GET", f"/projects/{other}")).data["id"] == other
        assert (await guest.request("GET", "/deployments")).data == []
        assert (await guest.request("GET", "/logs")).data == []
        with pytest.raises(Exception, match="lacks a permission"):
            await guest.request("GET", "/logs", query={"projectId": other})
        assert (await guest.request("GET", "/logs", query={"projectId": other, "environment": "staging"})).data == []


def test_nobody_changes_what_has_more_than_they_have() -> None:
    def holding(scopes: list[str], project: str | None, environment: str | None = None) -> Holding:
        return Holding(
            type="grant", id="grant_1", name="", team_id="team_a", project_id=project, environment=environment,
            scopes=scopes,
        )  # fmt: skip

    mine = Held(own=expand(["*"]), holdings=[holding(["logs:read"], None), holding(["env:*"], "proj_a")])
    less = [holding(["logs:read", "env:read"], "proj_a", "staging"), holding(["logs:read"], None)]
    require_no_less(mine, Held(own=expand(["*"]), holdings=less))
    for more in (holding(["env:read"], None), holding(["env:read"], "proj_b"), holding(["tokens:write"], "proj_a")):
        with pytest.raises(InsufficientScope):
            require_no_less(mine, Held(own=expand(["*"]), holdings=[more]))


async def test_a_grant_to_a_token_adds_nothing_to_its_scopes(api: Api) -> None:
    made = await project(api, "one")
    async with db.begin(api.pool) as tx:
        token = new_id("tok")
        actor = Actor(
            type="token", id=token, name="ci", token_id=token, team_id=api.team_id, kind="team",
            scopes=frozenset(["deployments:write", "logs:read"]),
        )  # fmt: skip
        held = await held_in(tx, actor, api.team_id)
        assert held.on(made) == held.on() == {WRITE, LOGS}
        assert not held.granted(made, "staging")
