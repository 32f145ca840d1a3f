"""What a plan has is what a team gets, not one more, however many ask at once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cygni import APIStatusError, AsyncCygniClient
from cygnid.core import clock, db, quotas
from cygnid.core.actors import SYSTEM
from cygnid.core.plans import PLANS
from cygnid.resources.deployments import queue
from tests.make.api import Api, api_of
from tests.make.calls import create_project, refused
from tests.make.people import make_team
from tests.make.stage import until

NOON = datetime(2026, 12, 31, 12, 0, 0, tzinfo=UTC)
FREE = PLANS["free"].quotas


@asynccontextmanager
async def free(database_url: str, folder: Path) -> AsyncGenerator[Api]:
    """Teams of the plan Free, whose requests nobody counts."""
    async with api_of(database_url, folder, plan="free") as api:
        async with db.begin(api.pool) as tx:
            # a personal token is counted by the best plan among the teams of its user
            best = await make_team(tx, "best", "enterprise")
            await tx.execute(
                """INSERT INTO members (id, team_id, user_id, role_id, created_at)
                   SELECT id || 'b', $1, user_id, role_id, created_at FROM members WHERE team_id = $2""",
                best,
                api.team_id,
            )
        yield api


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with free(database_url, tmp_path) as made:
        yield made


@pytest.fixture
def at() -> Iterator[Callable[[datetime], None]]:
    """Sets the clock."""
    yield lambda moment: clock.set_clock(lambda: moment)
    clock.set_clock(None)


async def execute(api: Api, sql: str, *values: object) -> None:
    async with db.begin(api.pool) as tx:
        await tx.execute(sql, *values)


async def quota(client: AsyncCygniClient, api: Api, name: str) -> dict[str, object]:
    rows = (await client.request("GET", "/billing/quotas", query={"teamId": api.team_id})).data
    return next(row for row in rows if row["name"] == name)


async def told(api: Api) -> list[str]:
    """The quotas of which the team was told."""
    waiting = api.app._refusals._waiting  # pyright: ignore[reportPrivateUsage]
    await until(lambda: not waiting)
    async with db.read(api.pool) as read:
        return await read.value(
            """SELECT coalesce(array_agg(resource_name ORDER BY number), '{}') FROM changes
               WHERE type = 'quota.exceeded' AND team_id = $1""",
            api.team_id,
        )


async def attempt(client: AsyncCygniClient, method: str, path: str, json: dict[str, object]) -> str:
    try:
        await client.request(method, path, json=json)
    except APIStatusError as error:
        return error.code or ""
    return "made"


async def test_twenty_at_once_get_what_is_left(api: Api) -> None:
    ada = await api.owner()
    await create_project(ada, "first", teamId=api.team_id)
    answers = await asyncio.gather(
        *(attempt(ada, "POST", "/projects", {"name": f"p{number}", "teamId": api.team_id}) for number in range(20))
    )
    assert sorted(set(answers)) == ["made", "quota_exceeded"]
    assert answers.count("made") == FREE["projects"] - 1
    assert await quota(ada, api, "projects") == {
        "name": "projects",
        "used": FREE["projects"],
        "limit": FREE["projects"],
        "resetsAt": None,
    }
    assert await told(api) == ["projects"]


async def test_the_error_says_how_much_and_what_to_do(api: Api) -> None:
    ada = await api.owner()
    for number in range(FREE["projects"]):
        await create_project(ada, f"p{number}", teamId=api.team_id)
    body = {"name": "more", "teamId": api.team_id}
    error = await refused(ada.request("POST", "/projects", json=body))
    assert (error.status, error.code) == (403, "quota_exceeded")
    most = FREE["projects"]
    assert error.details == {"quota": "projects", "limit": most, "used": most, "resetsAt": None}
    assert "Delete" in (error.hint or "")
    # what is deleted makes room, and comes back only where there is room
    await ada.request("DELETE", "/projects/p0", query={"confirm": "p0"})
    await ada.request("POST", "/projects", json=body)
    assert (await refused(ada.request("POST", "/projects/p0/restore"))).code == "quota_exceeded"
    await ada.request("DELETE", "/projects/p1", query={"confirm": "p1"})
    assert (await ada.request("POST", "/projects/p0/restore")).data["status"] == "active"
    assert (await ada.request("POST", "/projects/p0/restore")).status == 200


async def test_another_team_and_an_enterprise_wait_for_nothing(api: Api) -> None:
    ada = await api.owner()
    async with db.begin(api.pool) as tx:
        assert await quotas.lock(tx, api.team_id, "projects") == FREE["projects"]
        best = (await ada.request("GET", "/me")).data["teams"][1]["id"]
        # both while somebody takes from the first team's quota
        await asyncio.wait_for(create_project(await api.outsider(), "theirs", teamId=api.other_team_id), 60)
        await asyncio.wait_for(create_project(ada, "ours", teamId=best), 60)
    await execute(api, "UPDATE teams SET plan = 'enterprise' WHERE id = $1", api.team_id)
    assert (await quota(ada, api, "projects"))["limit"] is None


async def deployable(api: Api, client: AsyncCygniClient, folder: Path) -> dict[str, object]:
    """A body that deploys."""
    (folder / "source").mkdir()
    (folder / "source" / "index.html").write_text("hello")
    await create_project(client, "shop", teamId=api.team_id)
    upload = (await client.uploads.from_directory(folder / "source")).id
    return {"projectId": "shop", "uploadId": upload}


async def test_deployments_begin_anew_at_midnight(api: Api, tmp_path: Path, at: Callable[[datetime], None]) -> None:
    ada = await api.owner()
    at(NOON)
    body = await deployable(api, ada, tmp_path)
    for name in ("staging", "testing"):
        await ada.request("POST", "/projects/shop/environments", json={"name": name})
    first = (await ada.request("POST", "/deployments", json=body)).data["id"]
    await execute(
        api,
        """INSERT INTO deployments SELECT (jsonb_populate_record(d, jsonb_build_object('id', 'dep_' || n,
               'status', 'superseded', 'finished_at', now()))).* FROM deployments d, generate_series(1, $2) n
           WHERE d.id = $1""",
        first,
        FREE["deploymentsPerDay"] - 6,
    )
    bodies = [body | {"environment": name} for name in ("production", "staging", "testing") for _ in range(7)]
    answers = await asyncio.gather(*(attempt(ada, "POST", "/deployments", one) for one in bodies))
    assert answers.count("made") == 5
    assert answers.count("quota_exceeded") == 16
    error = await refused(ada.request("POST", "/projects/shop/restart", json={}))
    assert error.code == "invalid_state"  # nothing runs: the reason that waiting does not mend comes first
    found = await quota(ada, api, "deploymentsPerDay")
    assert (found["used"], found["resetsAt"]) == (FREE["deploymentsPerDay"], "2027-01-01T00:00:00.000Z")
    assert await told(api) == ["deploymentsPerDay"]
    at(NOON + timedelta(hours=12))
    assert await attempt(ada, "POST", "/deployments", body) == "made"
    assert (await quota(ada, api, "deploymentsPerDay"))["used"] == 1


async def test_minutes_of_builds_are_those_of_the_month(
    api: Api, tmp_path: Path, at: Callable[[datetime], None]
) -> None:
    ada = await api.owner()
    at(NOON)
    body = await deployable(api, ada, tmp_path)
    async with db.begin(api.pool) as tx:
        await queue.add_build(tx, api.team_id, NOON - timedelta(minutes=FREE["buildMinutes"], seconds=-1))
    assert (await quota(ada, api, "buildMinutes"))["used"] == FREE["buildMinutes"] - 1
    assert await attempt(ada, "POST", "/deployments", body) == "made"
    async with db.begin(api.pool) as tx:
        await queue.add_build(tx, api.team_id, NOON - timedelta(seconds=0.5))
    error = await refused(ada.request("POST", "/deployments", json=body))
    assert (error.code, error.details["quota"]) == ("quota_exceeded", "buildMinutes")
    assert error.details["resetsAt"] == "2027-01-01T00:00:00.000Z"
    assert "2027-01-01" in (error.hint or "")
    at(NOON + timedelta(days=1))
    assert await attempt(ada, "POST", "/deployments", body) == "made"


async def test_it_is_told_once_in_each_period(api: Api, at: Callable[[datetime], None]) -> None:
    ada = await api.owner()
    await execute(api, "UPDATE teams SET plan = 'free'")
    for number in range(FREE["projects"]):
        await create_project(ada, f"p{number}", teamId=api.team_id)
    for moment in (NOON, NOON + timedelta(hours=1), NOON + timedelta(days=1)):
        at(moment)
        for _ in range(3):
            assert await attempt(ada, "POST", "/projects", {"name": "more", "teamId": api.team_id}) == "quota_exceeded"
        await told(api)
    assert await told(api) == ["projects", "projects"]


async def test_every_member_sees_it_and_nobody_else(api: Api) -> None:
    names = {"projects", "deploymentsPerDay", "buildMinutes", "logBytes"}
    for client in (
        await api.member("viewer"),
        api.client(await api.token()),
        await api.member("billing", ("logs:read",)),
    ):
        rows = (await client.request("GET", "/billing/quotas")).data
        assert {row["name"] for row in rows} == names
    outsider = await api.outsider()
    assert (await refused(outsider.request("GET", "/billing/quotas", query={"teamId": api.team_id}))).status == 404
    several = await refused((await api.owner()).request("GET", "/billing/quotas"))
    assert (several.status, several.details["field"]) == (400, "teamId")


async def test_anybody_may_read_the_plans(api: Api) -> None:
    answer = await (await api.outsider()).request("GET", "/billing/plans", query={"limit": 2})
    assert [plan["name"] for plan in answer.data] == ["free", "pro"]
    assert answer.data[0]["rateLimits"] == [
        {"window": "perMinute", "windowSeconds": 60, "limit": 100},
        {"window": "perHour", "windowSeconds": 3600, "limit": 1000},
    ]
    assert answer.data[0]["limits"][0] == {"name": "projects", "limit": FREE["projects"]}
    more = answer.meta["pagination"]["nextCursor"]
    rest = await (await api.outsider()).request("GET", "/billing/plans", query={"limit": 2, "cursor": more})
    assert [plan["name"] for plan in rest.data] == ["enterprise"]
    assert all(limit["limit"] is None for limit in rest.data[0]["limits"])


def test_periods() -> None:
    leap = datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)
    assert quotas.window("deploymentsPerDay", leap).ends_at == datetime(2028, 3, 1, tzinfo=UTC)
    month = quotas.window("buildMinutes", leap)
    assert (month.starts_at, month.ends_at) == (datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC))
    assert quotas.window("buildMinutes", NOON).ends_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert quotas.window("projects", NOON).ends_at is None


async def test_a_count_of_many_parallel_uses_is_exact(api: Api) -> None:
    async def add() -> None:
        async with db.begin(api.pool) as tx:
            await quotas.add(tx, api.team_id, "buildMinutes", 7)

    await asyncio.gather(*(add() for _ in range(20)))
    async with db.begin(api.pool) as tx:
        assert await quotas.used(tx, api.team_id, "buildMinutes") == 140
        assert await quotas.tell(tx, SYSTEM, quotas.exceeded(api.team_id, "buildMinutes", 1, 1))
        assert not await quotas.tell(tx, SYSTEM, quotas.exceeded(api.team_id, "buildMinutes", 1, 1))
