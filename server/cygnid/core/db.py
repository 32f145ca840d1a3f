"""The database: a pool, `Read` for questions, `Tx` for changes. `begin()` holds the only commit of the code base."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import msgspec

from cygnid.core.errors import CygniError

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = Pool = Any

Row = TypeVar("Row", bound=msgspec.Struct)
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What is raised while the database cannot be reached, or has just broken our connection."""

UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # it takes no connections at the moment
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""Those of them that say nothing of the question that was asked."""


class Read:
    """Questions to the database, each its own snapshot. A GET gets this and cannot change state."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def one(self, row: type[Row], sql: str, *arguments: Any) -> Row | None:
        """The only row as a Struct, by column name; None when there is none."""
        record = await self._connection.fetchrow(sql, *arguments)
        return None if record is None else msgspec.convert(dict(record), row)

    async def all(self, row: type[Row], sql: str, *arguments: Any) -> list[Row]:
        records = await self._connection.fetch(sql, *arguments)
        return msgspec.convert([dict(record) for record in records], list[row])

    async def value(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row; None when there is no row."""
        return await self._connection.fetchval(sql, *arguments)


class Tx(Read):
    """One transaction: also changes things. It is committed by `begin()`, after the block has ended well."""

    async def execute(self, sql: str, *arguments: Any) -> int:
        """The number of rows that changed."""
        status = await self._connection.execute(sql, *arguments)
        return int(status.rpartition(" ")[2]) if status[-1:].isdigit() else 0

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        await self._connection.copy_records_to_table(table, columns=list(columns), records=rows)

    @asynccontextmanager
    async def unique(self, **errors: CygniError) -> AsyncGenerator[None]:
        """Turns the breach of a named constraint into an error of ours, in a savepoint, so the caller may go on."""
        try:
            async with self._connection.transaction():
                yield
        except asyncpg.IntegrityConstraintViolationError as violation:
            if violation.constraint_name not in errors:
                raise
            raise errors[violation.constraint_name] from violation


async def connect(url: str, *, size: int) -> Pool:
    """A pool without a reset query: no code may leave session state on its connections (LISTEN and advisory
    session locks have connections of their own)."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        reset=_keep,
        init=_prepare,
        # a stopped process would otherwise hold its locks for ever
        server_settings={"idle_in_transaction_session_timeout": "15s", "application_name": "cygnid"},
    )


async def _keep(connection: Connection) -> None:
    """Nothing to reset."""


async def _prepare(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_json, decoder=msgspec.json.decode, format="text"
    )


def _encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@asynccontextmanager
async def read(pool: Pool) -> AsyncGenerator[Read]:
    async with pool.acquire() as connection:
        yield Read(connection)


@asynccontextmanager
async def begin(pool: Pool) -> AsyncGenerator[Tx]:
    """One transaction, committed when the block ends well, rolled back when it raises."""
    async with pool.acquire() as connection, connection.transaction():
        yield Tx(connection)
