"""The audit log through the API: sealed when listed, each team's own, every altered byte found."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cygni import AsyncCygniClient, CygniError
from cygnid.core import changes, db, sealer
from cygnid.core.actors import SYSTEM
from cygnid.core.changes import Subject, Wake
from cygnid.core.db import Pool
from cygnid.core.reconcile import run_reconcilers
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.resources.audit import actions, tasks
from cygnid.resources.audit.queries import Chains
from tests.make.api import Api

PATH = "/audit-logs"


async def happen(pool: Pool, team_id: str | None, event: str = "project.created", **fields: Any) -> str:
    subject = {"type": "project", "id": "proj_1", "name": "shop", "team_id": team_id, "project_id": "proj_1"}
    subject |= fields.pop("subject", {})
    async with db.begin(pool) as tx:
        return "aud_" + await changes.record(tx, SYSTEM, event, Subject(**subject), **fields)


def secrets(api: Api) -> Secrets:
    return Secrets(api.settings.key())


@asynccontextmanager
async def sealing(api: Api) -> AsyncIterator[None]:
    """The sealer, as a worker runs it."""

    class Backends:
        pool = api.pool

    wakeups = Wakeups(api.settings.database_url)
    running = [
        asyncio.create_task(wakeups.run()),
        asyncio.create_task(run_reconcilers([tasks.seal_changes], Backends(), wakeups)),
    ]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def listed(client: AsyncCygniClient, **query: Any) -> list[dict[str, Any]]:
    return (await client.request("GET", PATH, query=query)).data


async def refused(client: AsyncCygniClient, path: str, **query: Any) -> tuple[int | None, str | None]:
    with pytest.raises(CygniError) as caught:
        await client.request("GET", path, query=query)
    return caught.value.status, caught.value.code


async def test_what_just_happened_is_listed_sealed(api: Api) -> None:
    owner = await api.owner()
    async with sealing(api):
        identifier = await happen(api.pool, api.team_id, before={"a": 1}, after={"a": 2}, request_id="req_1")
        answer = await owner.request("GET", PATH)
        assert not answer.warnings
        row = answer.data[0]
        assert row["id"] == identifier
        assert (row["action"], row["result"], row["before"], row["after"]) == (
            "project.created",
            "success",
            {"a": 1},
            {"a": 2},
        )
        assert len(row["hash"]) == len(row["prevHash"]) == 64
        assert row["requestId"] == "req_1"
        one = await owner.request("GET", f"{PATH}/{identifier}")
        assert one.data == row


async def test_without_a_sealer_rows_are_left_out_with_a_warning(api: Api) -> None:
    owner = await api.owner()
    await sealer.seal(api.pool)
    before = len(await listed(owner))
    identifier = await happen(api.pool, api.team_id)
    answer = await owner.request("GET", PATH)
    assert [warning.code for warning in answer.warnings] == ["audit_rows_pending"]
    assert len(answer.data) == before
    assert await refused(owner, f"{PATH}/{identifier}") == (404, "not_found")


async def test_one_teams_waiting_rows_do_not_delay_another(api: Api) -> None:
    await sealer.seal(api.pool)
    await happen(api.pool, api.other_team_id)
    wakeups = Wakeups(api.settings.database_url)
    chains = Chains(team_ids=[api.team_id], installation=False)
    assert await actions.await_sealed(api.pool, wakeups, chains, patience=0)
    assert not await actions.await_sealed(
        api.pool, wakeups, Chains(team_ids=[api.other_team_id], installation=False), patience=0
    )


async def test_whoever_waits_is_woken_and_holds_no_connection(api: Api) -> None:
    await happen(api.pool, api.team_id)
    pool = await db.connect(api.settings.database_url, size=1)
    wakeups = Wakeups(api.settings.database_url)
    listening = asyncio.create_task(wakeups.run())
    try:
        waiting = asyncio.create_task(
            actions.await_sealed(pool, wakeups, Chains(team_ids=[api.team_id], installation=False), patience=60)
        )
        with wakeups.subscribe([Wake.SEALER]) as asked:
            asked.clear()
            async with asyncio.timeout(20):
                await asked.wait()
        async with asyncio.timeout(20):  # the only connection is free meanwhile
            await sealer.seal(pool)
            async with db.begin(pool) as tx:
                await changes.wake(tx, Wake.SEALED)
            assert await waiting
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await pool.close()


async def test_each_sees_their_own_chain(api: Api) -> None:
    mine, theirs = await happen(api.pool, api.team_id), await happen(api.pool, api.other_team_id)
    nobodys = await happen(api.pool, None)
    owner, outsider, auditor = await api.owner(), await api.outsider(), await api.member("auditor")
    await sealer.seal(api.pool)
    seen = {row["id"] for row in await listed(owner, limit=100)}
    assert {mine, nobodys} <= seen
    assert theirs not in seen
    seen = {row["id"] for row in await listed(outsider, limit=100)}
    assert theirs in seen
    assert not {mine, nobodys} & seen
    assert {row["teamId"] for row in await listed(owner, teamId=api.team_id)} == {api.team_id}
    assert {row["teamId"] for row in await listed(owner, teamId="null", limit=100)} == {None}
    assert await refused(outsider, PATH, teamId=api.team_id) == (404, "not_found")
    assert await refused(auditor, PATH, teamId="null") == (403, "insufficient_scope")
    for identifier in (mine, nobodys):
        assert await refused(outsider, f"{PATH}/{identifier}") == (404, "not_found")
    assert (await auditor.request("GET", f"{PATH}/{mine}")).data["id"] == mine
    assert await refused(auditor, f"{PATH}/{nobodys}") == (404, "not_found")
    assert (await owner.request("GET", f"{PATH}/{nobodys}")).data["teamId"] is None


async def test_who_lacks_the_permission_is_refused(api: Api) -> None:
    developer, narrow = await api.member("developer"), await api.member("auditor", ("projects:read",))
    identifier = await happen(api.pool, api.team_id)
    await sealer.seal(api.pool)
    for client in (developer, narrow):
        for path in (PATH, f"{PATH}/verify", f"{PATH}/{identifier}"):
            assert await refused(client, path) == (403, "insufficient_scope")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"action": "env.updated"}, [1]),
        ({"action": "env.updated,domain.added"}, [1, 2]),
        ({"resourceType": "domain"}, [2]),
        ({"resourceId": "env_7"}, [1]),
        ({"projectId": "proj_2"}, [2]),
        ({"environment": "staging"}, [1]),
        ({"result": "denied"}, [2]),
        ({"result": "failed"}, []),
        ({"createdAt[gte]": "2999-01-01T00:00:00Z"}, []),
        ({"createdAt[lt]": "2999-01-01", "result": "denied"}, [2]),
        ({"since": "2999-01-01T00:00:00Z"}, []),
        ({"until": "2020-01-01T00:00:00Z"}, []),
        ({"action": "env.updated", "result": "denied"}, []),
        ({"actorId": "user_nobody"}, []),
        ({"ip": "192.0.2.1"}, []),
    ],
)
async def test_filters_narrow(api: Api, query: dict[str, str], expected: list[int]) -> None:
    made = [
        await happen(api.pool, api.team_id),
        await happen(
            api.pool,
            api.team_id,
            "env.updated",
            subject={"type": "envVariable", "id": "env_7", "environment": "staging"},
        ),
        await happen(
            api.pool,
            api.team_id,
            "domain.added",
            result="denied",
            subject={"type": "domain", "id": "dom_1", "project_id": "proj_2"},
        ),
    ]
    auditor = await api.member("auditor")
    await sealer.seal(api.pool)
    assert {row["id"] for row in await listed(auditor, **query)} == {made[index] for index in expected}


async def test_an_actor_and_an_address_are_found(api: Api) -> None:
    await api.owner()
    auditor = await api.member("auditor")
    await sealer.seal(api.pool)
    rows = await listed(auditor, limit=100)
    assert rows
    actor = next(row["actor"] for row in rows)
    assert set(actor) == {"type", "id", "name", "tokenId", "ip"}
    assert await listed(auditor, since=rows[-1]["createdAt"], until="2999-01-01T00:00:00Z", limit=100) == rows


@pytest.mark.parametrize(
    "query", [{"result": "maybe"}, {"since": "yesterday"}, {"sort": "hash"}, {"limit": 101}, {"nonsense": "1"}]
)
async def test_what_makes_no_sense_is_refused(api: Api, query: dict[str, Any]) -> None:
    assert (await refused(await api.member("auditor"), PATH, **query))[0] == 400


async def test_pages_follow_each_other(api: Api) -> None:
    for _ in range(5):
        await happen(api.pool, api.team_id, "domain.added")
    auditor = await api.member("auditor")
    await sealer.seal(api.pool)
    seen = [row["seq"] async for row in await auditor.paginate(PATH, {"limit": 2, "action": "domain.added"})]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5


async def test_a_row_is_answered_304_when_it_is_known(api: Api) -> None:
    identifier = await happen(api.pool, api.team_id)
    auditor = await api.member("auditor")
    await sealer.seal(api.pool)
    first = await auditor.request("GET", f"{PATH}/{identifier}")
    again = await auditor.request("GET", f"{PATH}/{identifier}", headers={"If-None-Match": first.headers["etag"]})
    assert again.status == 304


@pytest.mark.parametrize("identifier", ["aud_nothing", "evt_01kav9g3mge9h9vg1jj30g6p7f", "x"])
async def test_what_is_not_there_is_not_found(api: Api, identifier: str) -> None:
    assert await refused(await api.member("auditor"), f"{PATH}/{identifier}") == (404, "not_found")
