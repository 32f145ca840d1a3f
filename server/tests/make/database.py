"""One throw-away PostgreSQL for a whole test run, and a fresh copy of the migrated schema for whoever asks."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from cygnid.core.postgres import EmbeddedPostgres, migrate

TEMPLATE = "template_cygni"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
_numbers = itertools.count(1)


class TestServer:
    """Starts on `start`, gone without a trace on `stop`."""

    __test__ = False

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="cygni-test-pg-"))
        # as root the server runs as another uid, which must be able to enter
        self._folder.chmod(0o711)
        self._postgres = EmbeddedPostgres(self._folder, uid=foreign_uid() if os.geteuid() == 0 else None, settings=FAST)

    def start(self) -> str:
        """The URL of the migrated template database."""

        async def run() -> str:
            url = await self._postgres.start()
            async with _admin(url) as connection:
                await connection.execute(f"CREATE DATABASE {TEMPLATE}")
            await migrate(with_database(url, TEMPLATE))
            return url

        return asyncio.run(run())

    def stop(self) -> None:
        asyncio.run(self._postgres.stop())
        shutil.rmtree(self._folder)


@asynccontextmanager
async def fresh_database(url: str, *, template: str = TEMPLATE) -> AsyncGenerator[str]:
    """The URL of a new database, copied from `template`; dropped at the end, with whatever still uses it."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    async with _admin(url) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield with_database(url, name)
    finally:
        async with _admin(url) as connection:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@asynccontextmanager
async def _admin(url: str) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(with_database(url, "postgres"))
    try:
        yield connection
    finally:
        await connection.close()


def foreign_uid() -> int:
    """One that no account and no installation has; it differs between runs that go on at the same time."""
    return 1_900_000_000 + os.getpid()
