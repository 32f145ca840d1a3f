"""The stored built-in roles are the code's; a team gets its owner once."""

import re

import pytest

from cygnid.core import db
from cygnid.core.access import ROLES, expand
from cygnid.core.actors import SYSTEM
from cygnid.resources.permissions import queries
from cygnid.resources.permissions.actions import add_owner
from cygnid.resources.permissions.schemas import BUILT_IN_ROLES, AlreadyMember
from tests.make.people import make_team, make_user, pool_of


async def test_the_stored_roles_agree_with_the_code(database_url: str) -> None:
    async with pool_of(database_url) as pool, db.read(pool) as read:
        stored = {role.name: role for role in await queries.roles(read, "team_none")}
    assert {name: role.id for name, role in stored.items()} == BUILT_IN_ROLES
    assert {name: expand(role.scopes) for name, role in stored.items()} == ROLES
    assert all(set(role.scopes) == expand(role.scopes) for role in stored.values()), "every scope is spelled out"
    assert all(re.fullmatch(r"role_[0-7][0-9a-hjkmnp-tv-z]{25}", role.id) for role in stored.values())


async def test_an_owner_joins_once_and_only_their_team(database_url: str) -> None:
    async with pool_of(database_url) as pool, db.begin(pool) as tx:
        red, blue = await make_team(tx, "red"), await make_team(tx, "blue")
        user = await make_user(tx, "ada")
        member = await add_owner(tx, SYSTEM, team_id=red, user_id=user)
        with pytest.raises(AlreadyMember):
            await add_owner(tx, SYSTEM, team_id=red, user_id=user)
        assert [(row.id, row.user_id, row.role_name) for row in await queries.members(tx, red)] == [
            (member, user, "owner")
        ]
        assert await queries.members(tx, blue) == []
        assert [(team.id, team.role_name) for team in await queries.teams_of(tx, user)] == [(red, "owner")]
        assert await tx.value("SELECT team_id FROM changes WHERE type = 'member.joined'") == red
