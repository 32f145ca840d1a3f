"""Every migration of the product: none waits for ever, and an upgraded database equals a fresh one."""

import os
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cygnid.core.postgres.binaries import find
from cygnid.core.postgres.migrations import migrate, read
from tests.make.database import fresh_database


def test_each_is_well_formed() -> None:
    migrations = read()  # refuses a wrong name, a doubled number, a missing lock timeout
    assert migrations
    numbers = [int(migration.name[:4]) for migration in migrations]
    assert numbers == sorted(set(numbers)), "each number is used once, and read in this order"


def test_without_a_transaction_there_is_one_statement() -> None:
    for migration in read():
        if not migration.transaction:
            assert migration.sql.strip().rstrip(";").count(";") == 0, migration.name
            assert "IF NOT EXISTS" in migration.sql or "IF EXISTS" in migration.sql, migration.name


async def test_upgraded_one_by_one_it_equals_a_fresh_one(postgres_server: str) -> None:
    migrations = read()
    async with (
        fresh_database(postgres_server, template="template0") as stepwise,
        fresh_database(postgres_server, template="template0") as fresh,
    ):
        for count in range(1, len(migrations) + 1):
            await migrate(stepwise, migrations=migrations[:count])
        await migrate(fresh, migrations=migrations)
        assert _schema(stepwise) == _schema(fresh)


async def test_the_databases_of_tests_have_it(database_url: str, postgres_server: str) -> None:
    async with fresh_database(postgres_server, template="template0") as fresh:
        await migrate(fresh)
        assert _schema(database_url) == _schema(fresh)


def _schema(url: str) -> list[str]:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    said = subprocess.run(
        [
            find(major=None).bin / "pg_dump",
            "--schema-only",
            "--host",
            query["host"][0],
            "--username",
            "cygni",
            parts.path[1:],
        ],
        env={"PGPASSWORD": Path(query["passfile"][0]).read_text().strip().rsplit(":", 1)[1], "PATH": os.defpath},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # newer versions of pg_dump write a random word into each dump
    return [line for line in said.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
