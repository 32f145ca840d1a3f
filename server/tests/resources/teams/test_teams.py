"""Teams are told apart: by slug, and by who may see which."""

import pytest

from cygnid.core import clock, db
from cygnid.core.access import Permission
from cygnid.core.errors import Forbidden, InsufficientScope, NotFound, ValidationError
from cygnid.resources.teams.access import chosen_team, teams_with
from cygnid.resources.teams.queries import living
from cygnid.resources.teams.schemas import SlugTaken
from tests.make.people import acting, make_team, make_user, pool_of

READ, WRITE = Permission.TEAMS_READ, Permission.TEAMS_WRITE


async def test_a_slug_is_one_teams(database_url: str) -> None:
    async with pool_of(database_url) as pool, db.begin(pool) as tx:
        team = await make_team(tx, "red")
        with pytest.raises(SlugTaken):
            await make_team(tx, "red")
        assert await tx.value("SELECT team_id FROM changes WHERE type = 'team.created'") == team


async def test_the_only_team_need_not_be_named_but_one_of_several_must(database_url: str) -> None:
    async with pool_of(database_url) as pool, db.begin(pool) as tx:
        red, blue = await make_team(tx, "red"), await make_team(tx, "blue")
        one = acting(await make_user(tx, "one", **{red: "owner"}))
        both = acting(await make_user(tx, "both", **{red: "owner", blue: "viewer"}))
        nobody = acting(await make_user(tx, "nobody"))
        assert (await chosen_team(tx, one, None, WRITE)).team_id == red
        with pytest.raises(ValidationError) as several:
            await chosen_team(tx, both, None, READ)
        assert several.value.details["field"] == "teamId"
        assert several.value.details["allowed"] == sorted([red, blue])
        with pytest.raises(NotFound):
            await chosen_team(tx, one, blue, READ)
        with pytest.raises(InsufficientScope):
            await chosen_team(tx, both, blue, WRITE)
        with pytest.raises(Forbidden):
            await chosen_team(tx, nobody, None, READ)


async def test_a_list_shows_where_the_permission_holds(database_url: str) -> None:
    async with pool_of(database_url) as pool, db.begin(pool) as tx:
        red, blue = await make_team(tx, "red"), await make_team(tx, "blue")
        user = await make_user(tx, "both", **{red: "owner", blue: "viewer"})
        assert await teams_with(tx, acting(user), None, READ) == sorted([red, blue])
        assert await teams_with(tx, acting(user), None, WRITE) == [red]
        with pytest.raises(InsufficientScope):
            await teams_with(tx, acting(user, ["teams:read"]), None, WRITE)
        with pytest.raises(InsufficientScope):
            await teams_with(tx, acting(user), blue, WRITE)
        assert await teams_with(tx, acting(await make_user(tx, "nobody")), None, READ) == []


async def test_a_deleted_team_is_nobodys(database_url: str) -> None:
    async with pool_of(database_url) as pool, db.begin(pool) as tx:
        red = await make_team(tx, "red")
        owner = acting(await make_user(tx, "one", **{red: "owner"}))
        assert [team.id for team in await living(tx, [red])] == [red]
        await tx.execute("UPDATE teams SET deleted_at = $1, purge_at = $1", clock.now())
        assert await living(tx, [red]) == []
        with pytest.raises(NotFound):
            await chosen_team(tx, owner, red, READ)
