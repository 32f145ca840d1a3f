"""The migrations runner, on databases of its own."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from cygnid.core.postgres.migrations import Migration, MigrationFailed, MigrationRefused, migrate, read
from tests.make.database import fresh_database


@pytest.fixture
async def empty(postgres_server: str) -> AsyncIterator[str]:
    async with fresh_database(postgres_server, template="template0") as url:
        yield url


def migration(name: str, sql: str, *, transaction: bool = True) -> Migration:
    return Migration(name=name, sql=sql, sha256=hashlib.sha256(sql.encode()).hexdigest(), transaction=transaction)


FIRST = migration("0001_first", "CREATE TABLE one (id int)")
SECOND = migration("0002_second", "CREATE TABLE two (id int)")


async def test_each_is_applied_once_and_in_order(empty: str) -> None:
    assert await migrate(empty, migrations=[FIRST]) == ["0001_first"]
    assert await migrate(empty, migrations=[FIRST, SECOND]) == ["0002_second"]
    assert await migrate(empty, migrations=[FIRST, SECOND]) == []


async def test_several_at_once_apply_each_once(empty: str) -> None:
    done = await asyncio.gather(*(migrate(empty, migrations=[FIRST, SECOND]) for _ in range(4)))
    assert sorted(done) == [[], [], [], ["0001_first", "0002_second"]]


async def test_an_applied_one_may_not_change(empty: str) -> None:
    await migrate(empty, migrations=[FIRST])
    with pytest.raises(MigrationRefused, match="0001_first was changed"):
        await migrate(empty, migrations=[migration("0001_first", "CREATE TABLE other (id int)"), SECOND])
    connection = await asyncpg.connect(empty)
    assert await connection.fetchval("SELECT to_regclass('two')") is None
    await connection.close()


async def test_a_failing_one_leaves_nothing_and_those_before_it_stay(empty: str) -> None:
    broken = migration("0002_broken", "CREATE TABLE half (id int); SELECT nothing_like_this")
    with pytest.raises(MigrationFailed, match="0002_broken"):
        await migrate(empty, migrations=[FIRST, broken])
    connection = await asyncpg.connect(empty)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    assert await connection.fetchval("SELECT array_agg(name) FROM schema_migrations") == ["0001_first"]
    await connection.close()


async def test_an_older_build_leaves_later_migrations_alone(empty: str) -> None:
    await migrate(empty, migrations=[FIRST, SECOND])
    assert await migrate(empty, migrations=[FIRST]) == []


async def test_what_refuses_a_transaction_runs_without_one(empty: str) -> None:
    index = migration("0002_index", "CREATE INDEX CONCURRENTLY IF NOT EXISTS one_id ON one (id)", transaction=False)
    assert await migrate(empty, migrations=[FIRST, index]) == ["0001_first", "0002_index"]


async def test_a_table_held_by_a_long_query_is_waited_for(empty: str) -> None:
    await migrate(empty, migrations=[FIRST])
    holder = await asyncpg.connect(empty)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("LOCK TABLE one")
    patient = migration("0002_patient", "SET LOCAL lock_timeout = '50ms'; ALTER TABLE one ADD COLUMN name text")
    running = asyncio.create_task(migrate(empty, migrations=[FIRST, patient]))
    watcher = await asyncpg.connect(empty)
    # its first attempt waits for the lock, then gives up so that those behind it can go on
    while not await watcher.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'one'::regclass"):
        await asyncio.sleep(0.005)
    while await watcher.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'one'::regclass"):
        await asyncio.sleep(0.005)
    assert not running.done()
    await transaction.rollback()
    assert await asyncio.wait_for(running, 60) == ["0002_patient"]
    await holder.close()
    await watcher.close()


@pytest.mark.parametrize(
    ("names", "sql", "why"),
    [
        (["0001_a.sql"], "CREATE TABLE a ()", "lock_timeout"),
        (["1_a.sql"], "SET LOCAL lock_timeout = '5s';", "NNNN"),
        (["0001_a.sql", "0001_b.sql"], "SET LOCAL lock_timeout = '5s';", "another migration"),
    ],
)
def test_a_file_that_breaks_the_rules_is_refused(tmp_path: Path, names: list[str], sql: str, why: str) -> None:
    for name in names:
        (tmp_path / name).write_text(sql)
    with pytest.raises(MigrationRefused, match=why):
        read(tmp_path)


def test_a_file_can_ask_for_no_transaction(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("-- no transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);")
    assert [found.transaction for found in read(tmp_path)] == [False]
