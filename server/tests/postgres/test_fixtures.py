"""The database fixtures themselves: what all other tests stand on."""

import asyncpg


async def test_a_database_is_fresh_and_migrated(database_url: str, postgres_server: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE TABLE mine (id int)")
        assert await connection.fetchval("SELECT count(*) FROM schema_migrations") is not None
    finally:
        await connection.close()


async def test_another_test_sees_nothing_of_it(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('mine')") is None
    finally:
        await connection.close()
