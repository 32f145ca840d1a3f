"""Due rows: claimed once, held by a lease, fenced, counted, given up in the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from cygnid.core.changes import Wake, wake
from cygnid.core.db import Pool, begin, connect
from cygnid.core.wakeups import Wakeups
from cygnid.core.work import Claim, LeaseLost, Lost, Work, Worker, work, works_in

PATIENCE = 30
TABLE = """CREATE TABLE parcels (id text PRIMARY KEY, due_at timestamptz, deadline_at timestamptz,
    lease_expires_at timestamptz, leased_by text, attempt integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0)"""


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, size=8)
    await pool.execute(TABLE)
    yield pool
    await pool.close()


class Log:
    """What handlers were called with, and a wait for the nth call."""

    def __init__(self, inside: Callable[[Claim], Awaitable[timedelta | None]] | None = None) -> None:
        self.claims: list[Claim] = []
        self.lost: list[tuple[str, Lost]] = []
        self.cancelled = 0
        self._inside = inside
        self._changed = asyncio.Condition()

    async def run(self, context: Any, claim: Claim) -> timedelta | None:
        self.claims.append(claim)
        await self._tell()
        try:
            return await self._inside(claim) if self._inside else None
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def give_up(self, context: Any, claim: Claim, why: Lost) -> None:
        self.lost.append((claim.id, why))
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(condition)

    def task(self, **options: Any) -> Work:
        return work(table="parcels", lost=self.give_up, **{"backoff_seconds": 0.05, **options})(self.run)


async def forever(_: Claim) -> None:
    await asyncio.Event().wait()


async def fail(_: Claim) -> None:
    raise LookupError


@asynccontextmanager
async def running(url: str, pool: Pool, task: Work, **options: Any) -> AsyncIterator[Worker]:
    wakeups = Wakeups(url, retry_seconds=0.05)
    worker = Worker(task, "context", pool, wakeups, **{"lease_seconds": 3, "look_seconds": 600, **options})
    tasks = {asyncio.create_task(wakeups.run()), asyncio.create_task(worker.run())}
    try:
        yield worker
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.wait(tasks)


async def give(pool: Pool, *ids: str, deadline: timedelta | None = None) -> None:
    async with begin(pool) as tx:
        for identifier in ids:
            await tx.execute(
                "INSERT INTO parcels (id, due_at, deadline_at) VALUES ($1, now(), now() + $2::interval)",
                identifier,
                deadline,
            )
        await wake(tx, Wake.DUE)


async def settled(pool: Pool, identifier: str = "a") -> Any:
    """The row, once nobody holds it and nothing is due."""
    async with asyncio.timeout(PATIENCE):
        while True:
            row = await pool.fetchrow("SELECT * FROM parcels WHERE id = $1", identifier)
            if row is not None and row["lease_expires_at"] is None and row["due_at"] is None:
                return row
            await asyncio.sleep(0.01)


async def test_a_wake_up_starts_the_work_and_its_end_lets_the_row_go(database_url: str, pool: Pool) -> None:
    log = Log()
    async with running(database_url, pool, log.task()):
        await give(pool, "a")
        row = await settled(pool)
        assert [(claim.id, claim.attempt, claim.tries) for claim in log.claims] == [("a", 1, 1)]
        assert (row["attempt"], row["tries"], row["leased_by"]) == (1, 0, None)


async def test_two_workers_share_the_rows(database_url: str, pool: Pool) -> None:
    log = Log()
    names = [f"row{number}" for number in range(40)]
    async with running(database_url, pool, log.task()), running(database_url, pool, log.task()):
        await give(pool, *names)
        for name in names:
            await settled(pool, name)
    assert sorted(claim.id for claim in log.claims) == sorted(names)


async def test_no_more_than_its_concurrency_at_a_time(database_url: str, pool: Pool) -> None:
    now = most = 0

    async def inside(_: Claim) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1

    log = Log(inside)
    names = [f"row{number}" for number in range(8)]
    async with running(database_url, pool, log.task(concurrency=2)):
        await give(pool, *names)
        for name in names:
            await settled(pool, name)
    assert most == 2


async def test_again_after_the_time_it_asks_for(database_url: str, pool: Pool) -> None:
    async def inside(claim: Claim) -> timedelta | None:
        return timedelta(seconds=0.05) if claim.attempt < 3 else None

    log = Log(inside)
    async with running(database_url, pool, log.task(max_attempts=1)):
        await give(pool, "a")
        await settled(pool)
    assert [(claim.attempt, claim.tries) for claim in log.claims] == [(1, 1), (2, 1), (3, 1)]
    assert log.lost == []


async def test_what_fails_is_tried_again_and_then_given_up(database_url: str, pool: Pool) -> None:
    log = Log(fail)
    async with running(database_url, pool, log.task(max_attempts=3)):
        await give(pool, "a")
        await settled(pool)
    assert [claim.tries for claim in log.claims] == [1, 2, 3]
    assert log.lost == [("a", Lost.ATTEMPTS)]


async def test_a_crash_counts_as_an_attempt(database_url: str, pool: Pool) -> None:
    await give(pool, "a", "b")
    # as a worker leaves them that was killed in its second and in its third attempt
    await pool.execute("UPDATE parcels SET attempt = 2, tries = 2, lease_expires_at = now() + interval '1 second'")
    await pool.execute("UPDATE parcels SET attempt = 3, tries = 3 WHERE id = 'b'")
    log = Log()
    async with running(database_url, pool, log.task(max_attempts=3)):
        await settled(pool, "a")
        await settled(pool, "b")
    assert [(claim.id, claim.attempt) for claim in log.claims] == [("a", 3)]
    assert log.lost == [("b", Lost.ATTEMPTS)]


async def test_the_heartbeat_outlives_the_first_lease(database_url: str, pool: Pool) -> None:
    go_on = asyncio.Event()
    log = Log(lambda _: _until(go_on))
    async with (
        running(database_url, pool, log.task(), lease_seconds=1.5),
        running(database_url, pool, log.task(), lease_seconds=1.5),
    ):
        await give(pool, "a")
        await log.until(lambda: len(log.claims) == 1)
        first = await pool.fetchval("SELECT lease_expires_at FROM parcels")
        async with asyncio.timeout(PATIENCE):
            while await pool.fetchval("SELECT now() <= $1 FROM parcels", first):
                await asyncio.sleep(0.05)
        assert await pool.fetchval("SELECT lease_expires_at > now() FROM parcels")
        go_on.set()
        await settled(pool)
    assert len(log.claims) == 1


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_lost_lease_cancels_and_fences(database_url: str, pool: Pool) -> None:
    log = Log(forever)
    async with running(database_url, pool, log.task(), lease_seconds=0.9):
        await give(pool, "a")
        await log.until(lambda: len(log.claims) == 1)
        await pool.execute("UPDATE parcels SET attempt = attempt + 1, due_at = NULL, lease_expires_at = NULL")
        async with asyncio.timeout(PATIENCE):
            while not log.cancelled:
                await asyncio.sleep(0.01)
        async with begin(pool) as tx:
            with pytest.raises(LeaseLost):
                await log.claims[0].fence(tx)
    row = await settled(pool)
    assert (row["attempt"], row["tries"]) == (2, 1), "the old attempt wrote nothing"


async def test_the_fence_lets_its_own_attempt_pass(database_url: str, pool: Pool) -> None:
    async def inside(claim: Claim) -> None:
        async with begin(pool) as tx:
            await claim.fence(tx)
            await tx.execute("UPDATE parcels SET leased_by = 'x' WHERE id = $1", claim.id)

    log = Log(inside)
    async with running(database_url, pool, log.task(max_attempts=1)):
        await give(pool, "a")
        await settled(pool)
    assert log.lost == []


async def test_a_deadline_cancels_and_gives_up(database_url: str, pool: Pool) -> None:
    log = Log(forever)
    async with running(database_url, pool, log.task()):
        await give(pool, "a", deadline=timedelta(seconds=1))
        await settled(pool)
    assert len(log.claims) == log.cancelled == 1
    assert log.lost == [("a", Lost.DEADLINE)]


async def test_due_again_while_it_runs_is_not_forgotten(database_url: str, pool: Pool) -> None:
    async def inside(claim: Claim) -> None:
        if claim.attempt == 1:
            await pool.execute("UPDATE parcels SET due_at = now()")

    log = Log(inside)
    async with running(database_url, pool, log.task()):
        await give(pool, "a")
        await settled(pool)
    assert [claim.attempt for claim in log.claims] == [1, 2]


async def test_stop_lets_work_end_and_claims_nothing_more(database_url: str, pool: Pool) -> None:
    go_on = asyncio.Event()
    log = Log(lambda _: _until(go_on))
    wakeups = Wakeups(database_url)
    worker = Worker(log.task(), "context", pool, wakeups)
    task = asyncio.create_task(worker.run())
    await give(pool, "a")
    worker_listens = asyncio.create_task(wakeups.run())
    await log.until(lambda: len(log.claims) == 1)
    worker.stop()
    await give(pool, "b")
    go_on.set()
    await asyncio.wait_for(task, PATIENCE)
    worker_listens.cancel()
    await asyncio.wait({worker_listens})
    assert await pool.fetch("SELECT id, attempt FROM parcels WHERE due_at IS NOT NULL") == [("b", 0)]
    assert log.cancelled == 0


async def test_a_cancelled_worker_gives_its_rows_back_untried(database_url: str, pool: Pool) -> None:
    log = Log(forever)
    async with running(database_url, pool, log.task()):
        await give(pool, "a")
        await log.until(lambda: len(log.claims) == 1)
    row = await pool.fetchrow("SELECT attempt, tries, lease_expires_at, due_at <= now() FROM parcels")
    assert row == (1, 0, None, True)


def test_marked_functions_are_found_once() -> None:
    marked = Log().task()
    module = ModuleType("tasks")
    module.__dict__.update(one=marked, again=marked)
    assert works_in([module, module]) == [marked]
