"""Health as the API says it, to strangers and to who has a token."""

import asyncpg
import pytest

from cygni import InternalServerError
from cygnid.core import clock, db
from cygnid.resources.platform.actions import Beat, beat, forget_silent_workers, leave
from tests.make.api import Api
from tests.make.database import with_database

WELL = Beat(id="one", build="b", started_at=clock.now(), is_leader=True, edge="running", overdue_seconds=0)


async def heard(api: Api, *beats: Beat) -> None:
    async with db.begin(api.pool) as tx:
        for each in beats:
            await beat(tx, each)


async def health(api: Api) -> dict[str, str]:
    data = (await (await api.owner()).request("GET", "/health")).data
    return {"": data["status"], **{check["name"]: check["status"] for check in data["checks"]}}


async def test_all_is_well_when_a_worker_leads_and_the_edge_runs(api: Api) -> None:
    await heard(api, WELL)
    assert await health(api) == {"": "ok", "database": "ok", "worker": "ok", "edge": "ok", "disk": "ok"}


async def test_without_a_worker_it_is_degraded(api: Api) -> None:
    found = await health(api)
    assert (found[""], found["database"], found["worker"], found["edge"]) == ("degraded", "ok", "degraded", "degraded")


@pytest.mark.parametrize(
    ("change", "part"),
    [({"is_leader": False}, "worker"), ({"overdue_seconds": 3600.0}, "worker"), ({"edge": "stopped"}, "edge")],
)
async def test_what_a_worker_says_is_wrong_is_named(api: Api, change: dict[str, object], part: str) -> None:
    await heard(api, Beat(**{**{name: getattr(WELL, name) for name in WELL.__struct_fields__}, **change}))
    found = await health(api)
    assert found[""] == "degraded"
    assert [name for name, status in found.items() if name and status != "ok"] == [part]


async def test_a_worker_that_fell_silent_counts_for_nothing_and_is_forgotten(api: Api) -> None:
    await heard(api, WELL)
    async with db.begin(api.pool) as tx:
        await tx.execute("UPDATE workers SET seen_at = seen_at - interval '2 hours'")
    assert (await health(api))["worker"] == "degraded"
    async with db.begin(api.pool) as tx:
        assert await forget_silent_workers(tx) == 1


async def test_a_worker_that_leaves_is_not_waited_for(api: Api) -> None:
    await heard(api, WELL)
    async with db.begin(api.pool) as tx:
        await leave(tx, WELL.id)
    assert (await health(api))["worker"] == "degraded"


async def test_strangers_learn_the_status_alone(api: Api) -> None:
    await heard(api, WELL)
    data = (await api.client("").request("GET", "/health")).data
    assert data == {"status": "ok", "version": None, "checks": []}


async def test_without_its_database_the_platform_is_down(api: Api) -> None:
    url = api.settings.database_url
    name = url.rpartition("/")[2].partition("?")[0]
    admin = await asyncpg.connect(with_database(url, "postgres"))
    try:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        with pytest.raises(InternalServerError) as refused:
            await api.client("").request("GET", "/health")
    finally:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await admin.close()
    assert refused.value.status == 503
