"""The chain of what happened: hashes that others can recompute, a feed that skips nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from cygnid.core import sealer
from cygnid.core.actors import SYSTEM
from cygnid.core.changes import Subject, record
from cygnid.core.db import Pool, begin, connect, read

VECTOR = sealer.Change(
    number=1,
    id="01kav9g3mge9h9vg1jj30g6p7f",
    type="env.updated",
    team_id="team_01kav9fxkpf5et43hmwh76vb50",
    project_id="proj_01kav9fwd4fcp8h18kz45j47x0",
    environment="production",
    created_at=datetime(2026, 11, 24, 8, 2, 0, 4321, UTC),
    result="success",
    actor_type="user",
    actor_id="user_01kav9fyt8f1vrqshz3j61z96d",
    actor_name="Ada",
    actor_token_id="tok_01kav9g00tfddrdnzeq9fesx94",
    actor_ip="203.0.113.7",
    resource_type="envVariable",
    resource_id="env_01kav9g4v2et7r8dtw2kgqsax9",
    resource_name="COLOR",
    before='{"version": 1, "value": "***"}',
    after='{"value":"***","version":2}',
    data="{}",
    reason=None,
    request_id="req_01kav9g61mewfbfp30h5abxqar",
    position=7,
    seq=1,
    prev_hash=sealer.FIRST_HASH,
    hash=None,
)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, size=5)
    yield pool
    await pool.close()


async def happen(pool: Pool, team: str | None, **fields: Any) -> None:
    async with begin(pool) as tx:
        await record(tx, SYSTEM, "project.created", subject(team), **fields)


def subject(team: str | None) -> Subject:
    return Subject(type="project", id=None, name="shop", team_id=team)


async def rows(pool: Pool) -> list[sealer.Change]:
    async with read(pool) as db:
        return await db.all(sealer.Change, f"SELECT {sealer.COLUMNS} FROM changes ORDER BY position NULLS LAST")


def test_the_published_vector() -> None:
    assert sealer.row_hash(VECTOR) == "dbf2af434aa85b73bfb38188c2375a58278d21263a9a344ef8311344d0015ea9"


@pytest.mark.parametrize("field", ["prev_hash", "reason", "actor_ip", "after", "request_id"])
def test_the_hash_covers(field: str) -> None:
    other = msgspec.structs.replace(VECTOR, **{field: '{"value":"x"}'})
    assert sealer.row_hash(other) != sealer.row_hash(VECTOR)


def test_the_hash_does_not_cover_itself() -> None:
    assert sealer.row_hash(msgspec.structs.replace(VECTOR, hash="f" * 64)) == sealer.row_hash(VECTOR)


def test_the_wire_form_is_in_documented_order() -> None:
    form = sealer.audit_row(VECTOR)
    assert list(form) == [
        "id",
        "seq",
        "teamId",
        "projectId",
        "environment",
        "createdAt",
        "action",
        "result",
        "actor",
        "resource",
        "before",
        "after",
        "reason",
        "requestId",
        "prevHash",
        "hash",
    ]
    assert form["createdAt"] == "2026-11-24T08:02:00.004Z"
    assert form["before"] == {"version": 1, "value": "***"}


async def test_one_chain_a_team_and_one_position_for_all(pool: Pool) -> None:
    for team in ("team_a", "team_b", None, "team_a", None, "team_a"):
        await happen(pool, team)
    assert await sealer.seal(pool, batch=2) == 6
    sealed = await rows(pool)
    assert [row.position for row in sealed] == [1, 2, 3, 4, 5, 6]
    for team, length in (("team_a", 3), ("team_b", 1), (None, 2)):
        chain = [row for row in sealed if row.team_id == team]
        assert [row.seq for row in chain] == list(range(1, length + 1))
        assert [row.prev_hash for row in chain] == [sealer.FIRST_HASH, *(row.hash for row in chain[:-1])]
        assert all(row.hash == sealer.row_hash(row) for row in chain)
    assert await sealer.seal(pool) == 0


async def test_a_row_that_commits_late_comes_after_what_was_sealed(pool: Pool) -> None:
    async with begin(pool) as late:
        await record(late, SYSTEM, "project.deleted", subject("team_a"))
        await happen(pool, "team_a")
        assert await sealer.seal(pool) == 1
    assert await sealer.seal(pool) == 1
    sealed = await rows(pool)
    assert [(row.type, row.position, row.seq) for row in sealed] == [
        ("project.created", 1, 1),
        ("project.deleted", 2, 2),
    ]
    assert sealed[0].number > sealed[1].number
    assert sealed[1].prev_hash == sealed[0].hash


async def test_two_sealers_at_once_leave_no_gap_and_no_double(pool: Pool) -> None:
    for number in range(30):
        await happen(pool, f"team_{number % 2}")
    assert sum(await asyncio.gather(*(sealer.seal(pool, batch=4) for _ in range(3)))) == 30
    sealed = await rows(pool)
    assert [row.position for row in sealed] == list(range(1, 31))
    assert sorted((row.team_id, row.seq) for row in sealed) == [
        (f"team_{team}", seq) for team in (0, 1) for seq in range(1, 16)
    ]


async def test_a_number_beyond_a_double_does_not_stop_the_chain(pool: Pool) -> None:
    await happen(pool, "team_a", after={"bytes": 2**60, "nested": [{"x": -(2**60)}]})
    await happen(pool, "team_a")
    assert await sealer.seal(pool) == 2
