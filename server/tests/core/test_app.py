"""The whole application in process, asked through the SDK with a real token."""

from pathlib import Path

import pytest

from cygni import APIStatusError, AsyncCygniClient, AuthenticationError
from cygnid.app import running
from cygnid.core import db
from cygnid.settings import Settings
from cygnid.up.first import ensure_first_owner
from tests.make.api import api_of
from tests.make.asgi import StreamingASGITransport
from tests.make.database import with_database
from tests.make.people import pool_of


async def test_a_first_owner_is_known_and_a_stranger_is_not(database_url: str, tmp_path: Path):
    settings = Settings(home=tmp_path, database_url=database_url, secret_key="00" * 32)
    pool = await db.connect(database_url, size=2)
    owner = await ensure_first_owner(pool)
    await pool.close()
    assert owner.token is not None
    async with running(settings) as app:
        transport = StreamingASGITransport(app)
        async with AsyncCygniClient(api_key=owner.token, base_url="http://test/v1", transport=transport) as known:
            health = await known.request("GET", "/health")
            assert {"name": "database", "status": "ok"}.items() <= health.data["checks"][0].items()
            index = await known.request("GET", "/")
            assert index.data["version"]
        async with AsyncCygniClient(api_key="", base_url="http://test/v1", transport=transport) as nobody:
            assert (await nobody.request("GET", "/health")).data["version"] is None
        async with AsyncCygniClient(api_key="cygp_wrong", base_url="http://test/v1", transport=transport) as wrong:
            with pytest.raises(AuthenticationError):
                await wrong.request("GET", "/health")


async def test_while_the_database_is_away_an_answer_is_put_off(database_url: str, tmp_path: Path) -> None:
    async with api_of(database_url, tmp_path) as api:
        client = await api.owner()
        name = database_url.rpartition("/")[2].partition("?")[0]
        async with pool_of(with_database(database_url, "postgres"), size=1) as admin:
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            try:
                with pytest.raises(APIStatusError) as caught:
                    await client.request("GET", "/projects")
            finally:
                await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        assert (caught.value.status, caught.value.code, caught.value.retry_after) == (503, "unavailable", 1)
        assert (await client.request("GET", "/projects")).data == []
