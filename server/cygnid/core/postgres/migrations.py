"""Forward-only migrations: plain SQL files, each applied once, remembered with its hash."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

FOLDER = Path(__file__).parents[2] / "migrations"
_LOCK = 0x6379676E69  # "cygni"
_ATTEMPTS = 12
_HEAD = "SET LOCAL lock_timeout = '5s';"
_NO_TRANSACTION = "-- no transaction"

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationRefused(Exception):
    """A migration file is not what it must be; the message says which and why. Nothing of it was run."""


class MigrationFailed(Exception):
    """The server refused a migration, all of which was undone; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    name: str
    sql: str
    sha256: str
    transaction: bool
    """False: its first line is `-- no transaction`, for one statement that refuses to run in one
    (CREATE INDEX CONCURRENTLY IF NOT EXISTS …); run again when it was interrupted, so it must bear that."""


def read(folder: Path = FOLDER) -> list[Migration]:
    """The migrations in order. Raises MigrationRefused for a wrong name, a doubled number or a missing lock timeout."""
    found: list[Migration] = []
    numbers: set[str] = set()
    for path in sorted(folder.glob("*.sql")):
        sql = path.read_text()
        if not re.fullmatch(r"\d{4}_[a-z0-9_]+", path.stem):
            raise MigrationRefused(f"{path.name}: a migration is called NNNN_what_it_does.sql.")
        if path.stem[:4] in numbers:
            raise MigrationRefused(f"{path.name}: there is another migration with this number.")
        transaction = not sql.startswith(_NO_TRANSACTION)
        if transaction and not sql.startswith(_HEAD):
            raise MigrationRefused(f"{path.name}: must start with {_HEAD} so that it never queues behind a long query.")
        numbers.add(path.stem[:4])
        sha256 = hashlib.sha256(sql.encode()).hexdigest()
        found.append(Migration(name=path.stem, sql=sql, sha256=sha256, transaction=transaction))
    return found


async def migrate(url: str, *, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Apply what is missing, one transaction each, and return its names.

    Several callers at once are safe: the others wait. A database that knows later migrations than we do is left as it
    is, since every migration leaves what the previous build runs working. Raises MigrationRefused when an applied
    migration has changed, MigrationFailed when one fails (those before it stay applied).
    """
    wanted = read() if migrations is None else migrations
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_TABLE)
        rows = await connection.fetch("SELECT name, sha256 FROM schema_migrations")
        applied = {row["name"]: row["sha256"] for row in rows}
        for migration in wanted:
            if applied.get(migration.name, migration.sha256) != migration.sha256:
                raise MigrationRefused(
                    f"{migration.name} was changed after it was applied. Add a new migration instead."
                )
        missing = [migration for migration in wanted if migration.name not in applied]
        for migration in missing:
            await _apply(connection, migration)
        return [migration.name for migration in missing]
    finally:
        await connection.close()


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            if migration.transaction:
                async with connection.transaction():
                    await connection.execute(migration.sql)
                    await _remember(connection, migration)
            else:
                await connection.execute("SET lock_timeout = '5s'")
                await connection.execute(migration.sql)
                await connection.execute("RESET lock_timeout")
                await _remember(connection, migration)
            return
        except asyncpg.LockNotAvailableError as error:
            # somebody's long query holds the table: those behind us went on, and we come again
            if attempt == _ATTEMPTS:
                raise MigrationFailed(f"{migration.name}: {error}; end the query that holds the table") from error
            await asyncio.sleep(attempt)
        except asyncpg.PostgresError as error:
            raise MigrationFailed(f"{migration.name}: {error}") from error


async def _remember(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", migration.name, migration.sha256
    )
