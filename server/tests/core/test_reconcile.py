"""Reconcilers see every change in the end, whatever happens to the wake-ups."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import asyncpg

from cygnid.core.changes import Wake, wake
from cygnid.core.db import begin, connect
from cygnid.core.reconcile import Reconciler, reconcile, reconcilers_in, run_reconcilers
from cygnid.core.wakeups import Wakeups

PATIENCE = 30
HOURS = 600


class Counter:
    """Counts its calls; `reached` waits for the nth."""

    def __init__(self, inside: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.calls = 0
        self._inside = inside
        self._changed = asyncio.Condition()

    async def __call__(self, context: Any) -> None:
        self.calls += 1
        async with self._changed:
            self._changed.notify_all()
        if self._inside:
            await self._inside(self.calls)

    async def reached(self, calls: int) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.calls >= calls)


@asynccontextmanager
async def running(url: str, *reconcilers: Reconciler) -> AsyncIterator[None]:
    wakeups = Wakeups(url, ping_seconds=0.5, retry_seconds=0.05)
    tasks = {
        asyncio.create_task(wakeups.run()),
        asyncio.create_task(run_reconcilers(reconcilers, "context", wakeups, backoff_seconds=0.02)),
    }
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def notify(url: str, name: str) -> None:
    pool = await connect(url, size=1)
    async with begin(pool) as tx:
        await wake(tx, name)
    await pool.close()


async def test_a_change_calls_who_waits_for_it_and_nobody_else(database_url: str) -> None:
    routes, other = Counter(), Counter()
    async with running(
        database_url,
        reconcile(on=[Wake.ROUTES, "project.paused"], minutes=HOURS)(routes),
        reconcile(on=["project.deleted"], minutes=HOURS)(other),
    ):
        # once unasked, once because the listener is there
        await routes.reached(2)
        await other.reached(2)
        for number, name in enumerate((Wake.ROUTES, "project.paused"), 3):
            await notify(database_url, name)
            await routes.reached(number)
        assert other.calls == 2


async def test_the_timer_calls_without_any_wake_up(database_url: str) -> None:
    counter = Counter()
    async with running(database_url, reconcile(on=[], minutes=0.1 / 60)(counter)):
        await counter.reached(5)


async def test_a_change_while_it_runs_calls_it_again(database_url: str) -> None:
    busy, go_on = asyncio.Event(), asyncio.Event()

    async def inside(call: int) -> None:
        if call == 3:
            busy.set()
            await go_on.wait()

    counter = Counter(inside)
    witness = Counter()
    async with running(
        database_url,
        reconcile(on=["project.paused"], minutes=HOURS)(counter),
        reconcile(on=["project.paused"], minutes=HOURS)(witness),
    ):
        await counter.reached(2)
        await witness.reached(2)
        await notify(database_url, "project.paused")
        await asyncio.wait_for(busy.wait(), PATIENCE)
        await witness.reached(3)
        await notify(database_url, "project.paused")
        await witness.reached(4)  # so the wake-up has arrived while the other was busy
        assert counter.calls == 3
        go_on.set()
        await counter.reached(4)


async def test_an_error_is_tried_again_and_stops_no_other(database_url: str) -> None:
    async def inside(call: int) -> None:
        if call < 4:
            raise LookupError

    failing, other = Counter(inside), Counter()
    async with running(
        database_url,
        reconcile(on=[], minutes=HOURS)(failing),
        reconcile(on=["project.paused"], minutes=HOURS)(other),
    ):
        await failing.reached(4)
        await other.reached(2)
        await notify(database_url, "project.paused")
        await other.reached(3)


async def test_a_new_connection_makes_up_for_what_was_missed(database_url: str) -> None:
    counter = Counter()
    async with running(database_url, reconcile(on=["project.paused"], minutes=HOURS)(counter)):
        await counter.reached(2)  # the second is the listener's connection
        connection = await asyncpg.connect(database_url)
        ended = await connection.fetch(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'cygnid listener' AND datname = current_database()"""
        )
        await connection.close()
        assert len(ended) == 1
        await counter.reached(3)


async def test_marked_functions_are_found_once_and_still_callable() -> None:
    counter = Counter()
    marked = reconcile(on=["a", "b"], minutes=5)(counter)
    module = ModuleType("tasks")
    module.__dict__.update(one=marked, again=marked, plain=counter)
    assert reconcilers_in([module, module]) == [marked]
    assert (marked.on, marked.every) == ({"a", "b"}, 300)
    await marked("context")
    assert counter.calls == 1
