"""Work on due rows: durable, leased, fenced, counted. The queue is the noun's own table.

The table has these columns besides its own; all times are the database's, since workers' clocks differ:

    id               text PRIMARY KEY
    due_at           timestamptz               when there is something to do; null: nothing
    deadline_at      timestamptz               when it is given up; null: never. The handler may move it
    lease_expires_at timestamptz               until when a worker holds the row; null: nobody does
    leased_by        text                      which one, for people
    attempt          integer NOT NULL DEFAULT 0  raised by every claim, never lowered: the fence of every write
    tries            integer NOT NULL DEFAULT 0  claims since the work last ended well, crashes included

with an index on `due_at WHERE due_at IS NOT NULL`. To give work: set `due_at = now()` and `wake(tx, Wake.DUE)` in the
change's transaction. `due_at` set again while the row is worked on is kept: the row is then claimed once more. To take
a row from its worker: raise `attempt` too and set `lease_expires_at` to null.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import ModuleType
from typing import Any

import asyncpg
import msgspec

from cygnid.core.changes import Wake
from cygnid.core.db import Pool, Read, Tx, begin
from cygnid.core.wakeups import Wakeups

log = logging.getLogger("cygnid.work")

_BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

_CLAIM = """
    UPDATE "TABLE" SET attempt = attempt + 1, tries = tries + 1, leased_by = $1, lease_expires_at = now() + $2
    WHERE id IN (
        SELECT id FROM "TABLE" WHERE due_at <= now() AND (lease_expires_at IS NULL OR lease_expires_at <= now())
        ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
    RETURNING id, attempt, tries, due_at, extract(epoch FROM deadline_at - now())::float8 AS seconds_left"""
_NEXT = """
    SELECT extract(epoch FROM min(greatest(due_at, lease_expires_at)) - now())::float8
    FROM "TABLE" WHERE due_at IS NOT NULL"""
_BEAT = """
    UPDATE "TABLE" SET lease_expires_at = now() + $3 WHERE id = $1 AND attempt = $2
    RETURNING extract(epoch FROM deadline_at - now())::float8 AS seconds_left"""
_END = """
    UPDATE "TABLE" SET lease_expires_at = NULL, leased_by = NULL,
        tries = CASE $5 WHEN 'good' THEN 0 WHEN 'returned' THEN tries - 1 ELSE tries END,
        due_at = CASE WHEN due_at = $3 THEN now() + $4::interval ELSE due_at END
    WHERE id = $1 AND attempt = $2"""
_OVERDUE = """
    SELECT coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8
    FROM "TABLE" WHERE due_at <= now() AND (lease_expires_at IS NULL OR lease_expires_at <= now())"""
_FENCE = 'SELECT 1 FROM "TABLE" WHERE id = $1 AND attempt = $2 FOR UPDATE'


class LeaseLost(Exception):
    """Another worker has the row, or it was taken back: nothing may be written for this attempt."""


class Lost(StrEnum):
    """Why work is given up."""

    DEADLINE = "deadline"
    ATTEMPTS = "attempts"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One attempt at one row."""

    table: str
    id: str
    attempt: int
    tries: int
    due_at: datetime

    async def fence(self, tx: Tx) -> None:
        """Lock the row, so that everything `tx` writes belongs to this attempt. Raises LeaseLost."""
        if await tx.value(_FENCE.replace("TABLE", self.table), self.id, self.attempt) is None:
            raise LeaseLost


Handler = Callable[[Any, Claim], Awaitable[timedelta | None]]
LostHandler = Callable[[Any, Claim, Lost], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What `@work` makes of a function; still called as that function."""

    table: str
    run: Handler
    lost: LostHandler
    max_attempts: int
    concurrency: int
    backoff_seconds: float

    async def __call__(self, context: Any, claim: Claim) -> timedelta | None:
        return await self.run(context, claim)


def work(
    *, table: str, lost: LostHandler, max_attempts: int = 3, concurrency: int = 4, backoff_seconds: float = 1
) -> Callable[[Handler], Work]:
    """The function is called with the worker's context and a Claim, possibly at the same time as an earlier attempt
    that does not know yet that it lost its lease; it therefore writes `WHERE attempt = …` or behind `claim.fence(tx)`.

    It returns None: nothing is left to do, or a timedelta: do it again then. What it raises is logged, and it is tried
    again after a back-off that doubles from `backoff_seconds` (at most an hour). After `max_attempts` tries or crashes
    without a good end, or past the row's deadline, `lost` is called instead: it says so in the row and then the row is
    no longer due; it is tried until it ends well. `concurrency`: rows at a time, of one worker.
    """

    def mark(function: Handler) -> Work:
        return Work(
            table=table,
            run=function,
            lost=lost,
            max_attempts=max_attempts,
            concurrency=concurrency,
            backoff_seconds=backoff_seconds,
        )

    return mark


def works_in(modules: Iterable[ModuleType]) -> list[Work]:
    """What `@work` marked in these modules, each once."""
    found = (value for module in modules for value in vars(module).values() if isinstance(value, Work))
    return list(dict.fromkeys(found))


async def overdue_seconds(read: Read, works: Iterable[Work]) -> float:
    """How long the row that is due longest has waited for a worker to take it."""
    waited = [float(await read.value(_OVERDUE.replace("TABLE", work.table))) for work in works]
    return max(waited, default=0.0)


class _Claimed(msgspec.Struct, frozen=True):
    id: str
    attempt: int
    tries: int
    due_at: datetime
    seconds_left: float | None


class _Beat(msgspec.Struct, frozen=True):
    seconds_left: float | None


class Worker:
    """Works on the due rows of one table. Any number of workers may do so at once."""

    def __init__(
        self,
        task: Work,
        context: Any,
        pool: Pool,
        wakeups: Wakeups,
        *,
        lease_seconds: float = 15,
        look_seconds: float = 30,
    ) -> None:
        self._work = task
        self._context = context
        self._pool = pool
        self._wakeups = wakeups
        self._lease = lease_seconds
        self._look = look_seconds
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = asyncio.Event()
        self._holding: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Claim nothing more; `run` returns once what is being worked on has ended."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop()`. Cancelled: what runs is cancelled, and its rows are given back as not tried."""
        try:
            with self._wakeups.subscribe([Wake.DUE]) as wake:
                stopping = asyncio.create_task(self._wake_to_stop(wake))
                try:
                    while not self._stopping.is_set():
                        wait = await self._look_once(wake)
                        try:
                            async with asyncio.timeout(wait):
                                await wake.wait()
                        except TimeoutError:
                            continue
                finally:
                    stopping.cancel()
            if self._holding:
                await asyncio.wait(self._holding)
        finally:
            for task in self._holding:
                task.cancel()
            if self._holding:
                await asyncio.wait(self._holding)

    async def _wake_to_stop(self, wake: asyncio.Event) -> None:
        await self._stopping.wait()
        wake.set()

    async def _look_once(self, wake: asyncio.Event) -> float | None:
        """Claim as much as there is room for; returns how long to wait for a wake-up."""
        wake.clear()
        room = self._work.concurrency - len(self._holding)
        if room <= 0:
            return None
        try:
            async with begin(self._pool) as tx:
                claimed = await tx.all(_Claimed, self._sql(_CLAIM), self._name, timedelta(seconds=self._lease), room)
            asked = time.monotonic()
            for row in claimed:
                claim = Claim(
                    table=self._work.table, id=row.id, attempt=row.attempt, tries=row.tries, due_at=row.due_at
                )
                task = asyncio.create_task(self._hold(claim, row.seconds_left, asked))
                self._holding.add(task)
                task.add_done_callback(self._holding.discard)
                task.add_done_callback(lambda _: wake.set())
            if len(claimed) == room:
                return None
            async with self._pool.acquire() as connection:
                until = await connection.fetchval(self._sql(_NEXT))
        except _BROKEN as error:
            log.warning("cannot look for due %s: %r", self._work.table, error)
            return 1
        return self._look if until is None else min(max(until, 0.01), self._look)

    def _sql(self, template: str) -> str:
        return template.replace("TABLE", self._work.table)

    async def _hold(self, claim: Claim, seconds_left: float | None, claimed: float) -> None:
        """One attempt from its claim to the end of its lease."""
        try:
            if claim.tries > self._work.max_attempts:
                await self._give_up(claim, Lost.ATTEMPTS)
            elif seconds_left is not None and seconds_left <= 0:
                await self._give_up(claim, Lost.DEADLINE)
            else:
                await self._attempt(claim, seconds_left, claimed)
        except asyncio.CancelledError:
            await self._end(claim, timedelta(0), "returned")
            raise
        except LeaseLost:
            log.warning("%s %s: attempt %s lost its lease", claim.table, claim.id, claim.attempt)
        except Exception:
            log.exception("%s %s: attempt %s failed", claim.table, claim.id, claim.attempt)
            pause = min(self._work.backoff_seconds * 2 ** min(claim.tries - 1, 30), 3600)
            await self._end(claim, timedelta(seconds=pause), "bad")

    async def _attempt(self, claim: Claim, seconds_left: float | None, claimed: float) -> None:
        try:
            again = await self._leased(claim, self._work.run(self._context, claim), seconds_left, claimed)
        except _PastDeadline:
            await self._give_up(claim, Lost.DEADLINE)
        except LeaseLost:
            raise
        except Exception:
            if claim.tries < self._work.max_attempts:
                raise
            log.exception("%s %s: last attempt %s failed", claim.table, claim.id, claim.attempt)
            await self._give_up(claim, Lost.ATTEMPTS)
        else:
            await self._end(claim, again, "good")

    async def _give_up(self, claim: Claim, why: Lost) -> None:
        await self._leased(claim, self._work.lost(self._context, claim, why), None, time.monotonic(), deadline=False)
        await self._end(claim, None, "good")

    async def _leased(
        self,
        claim: Claim,
        awaitable: Awaitable[timedelta | None],
        seconds_left: float | None,
        since: float,
        *,
        deadline: bool = True,
    ) -> timedelta | None:
        """Run it while the lease is ours. Raises LeaseLost or _PastDeadline, after having cancelled it."""
        running = asyncio.ensure_future(awaitable)
        beating = asyncio.create_task(self._beat(claim, seconds_left, since, deadline=deadline))
        try:
            await asyncio.wait({running, beating}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = running.done()
            for task in (running, beating):
                task.cancel()
            await asyncio.wait({running, beating})
        if ended:
            return running.result()
        beating.result()
        raise LeaseLost

    async def _beat(self, claim: Claim, seconds_left: float | None, since: float, *, deadline: bool) -> None:
        """Extend the lease; returns when it is lost, raises _PastDeadline."""
        good_until = since + self._lease
        while True:
            pause = self._lease / 3
            if deadline and seconds_left is not None:
                if seconds_left <= 0:
                    raise _PastDeadline
                pause = min(pause, seconds_left)
            await asyncio.sleep(pause)
            asked = time.monotonic()
            try:
                async with asyncio.timeout(max(good_until - asked, 0)), begin(self._pool) as tx:
                    beat = await tx.one(
                        _Beat, self._sql(_BEAT), claim.id, claim.attempt, timedelta(seconds=self._lease)
                    )
            except _BROKEN as error:
                log.warning("cannot extend the lease of %s %s: %r", claim.table, claim.id, error)
                if time.monotonic() >= good_until:
                    return
                seconds_left = None if seconds_left is None else seconds_left - pause
                continue
            if beat is None:
                return
            good_until = asked + self._lease
            seconds_left = beat.seconds_left

    async def _end(self, claim: Claim, delay: timedelta | None, how: str) -> None:
        """Let the row go. Should that fail the lease lapses, and the row is claimed again."""
        try:
            async with begin(self._pool) as tx:
                await tx.execute(self._sql(_END), claim.id, claim.attempt, claim.due_at, delay, how)
        except _BROKEN as error:
            log.warning("cannot let go of %s %s: %r", claim.table, claim.id, error)


class _PastDeadline(Exception):
    pass
