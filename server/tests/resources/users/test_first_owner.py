"""A new installation has one owner, however often it is prepared."""

import asyncio

import pytest

from cygnid.core import db
from cygnid.core.access import Permission, permissions_by_team
from cygnid.core.errors import NotFound
from cygnid.resources.tokens.actions import authenticate
from cygnid.up.first import ensure_first_owner, mint_owner_token
from tests.make.people import pool_of


async def test_the_first_owner_is_made_once_even_by_several_at_once(database_url: str) -> None:
    async with pool_of(database_url) as pool:
        owners = await asyncio.gather(*(ensure_first_owner(pool) for _ in range(4)))
        assert len({(owner.team_id, owner.user_id) for owner in owners}) == 1
        [secret] = [owner.token for owner in owners if owner.token is not None]
        async with db.read(pool) as read:
            actor = await authenticate(read, secret, None)
            assert actor.is_instance_admin
            assert (actor.user_id, actor.plan) == (owners[0].user_id, "pro")
            assert Permission.TEAMS_DELETE in (await permissions_by_team(read, actor))[owners[0].team_id]
            types = await read.value("SELECT array_agg(type ORDER BY number) FROM changes")
            assert types == ["user.registered", "team.created", "member.joined", "token.created"]


async def test_whoever_runs_the_machine_gets_in_again_and_it_is_recorded(database_url: str) -> None:
    async with pool_of(database_url) as pool:
        with pytest.raises(NotFound):
            await mint_owner_token(pool)
        owner = await ensure_first_owner(pool, "free")
        secret = await mint_owner_token(pool)
        assert secret != owner.token
        async with db.read(pool) as read:
            actor = await authenticate(read, secret, None)
            assert (actor.user_id, actor.plan, actor.is_instance_admin) == (owner.user_id, "free", True)
            assert await read.value("SELECT count(*) FROM changes WHERE type = 'token.created'") == 2
