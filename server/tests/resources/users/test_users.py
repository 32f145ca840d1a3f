"""Users are stored, recorded, and unique by address."""

import pytest

from cygnid.core import db
from cygnid.core.actors import SYSTEM
from cygnid.resources.users import queries
from cygnid.resources.users.actions import create_user
from cygnid.resources.users.schemas import EmailTaken
from tests.make.people import pool_of


async def test_a_user_is_recorded_and_read_back(database_url: str) -> None:
    async with pool_of(database_url) as pool, db.begin(pool) as tx:
        made = await create_user(tx, SYSTEM, name="Ada", email="ada@example.test")
        assert await queries.user(tx, made.id) == made
        assert made.preferences == {}
        assert await tx.value("SELECT type FROM changes WHERE resource_id = $1", made.id) == "user.registered"


async def test_an_address_is_one_users_and_none_is_nobodys(database_url: str) -> None:
    async with pool_of(database_url) as pool, db.begin(pool) as tx:
        await create_user(tx, SYSTEM, name="Ada", email="ada@example.test")
        with pytest.raises(EmailTaken):
            await create_user(tx, SYSTEM, name="Eve", email="ada@example.test")
        await create_user(tx, SYSTEM, name="One", email=None)
        await create_user(tx, SYSTEM, name="Two", email=None)
        assert await tx.value("SELECT count(*) FROM users") == 3


async def test_the_first_instance_admin_is_the_oldest(database_url: str) -> None:
    async with pool_of(database_url) as pool, db.begin(pool) as tx:
        assert await queries.first_instance_admin(tx) is None
        await create_user(tx, SYSTEM, name="Plain", email=None)
        first = await create_user(tx, SYSTEM, name="First", email=None, is_instance_admin=True)
        await create_user(tx, SYSTEM, name="Second", email=None, is_instance_admin=True)
        assert await queries.first_instance_admin(tx) == first
