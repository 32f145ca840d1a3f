"""Who leads: one at a time, with a higher term each time, and never a process that has been stopped."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from cygnid.core.leader import Leadership, NotLeader

PATIENCE = 30


class Worker:
    """A candidate whose reign only waits to be ended."""

    def __init__(self, url: str) -> None:
        self.leadership = Leadership(url, idle_seconds=3, ping_seconds=0.2, retry_seconds=0.1)
        self.leads = asyncio.Event()
        self.stopped = asyncio.Event()
        self.term_at_the_end: int | None = None

    async def lead(self) -> None:
        self.leads.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.leads.clear()
            try:
                self.term_at_the_end = self.leadership.term()
            except NotLeader:
                self.term_at_the_end = None
            self.stopped.set()


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(worker.leadership.run(worker.lead))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def soon(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), PATIENCE)


async def end_sessions(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        ended = await connection.fetch(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'cygnid leader' AND datname = current_database()"""
        )
        assert len(ended) == 1
    finally:
        await connection.close()


async def test_a_second_candidate_waits_until_the_first_resigns(database_url: str) -> None:
    first, second = Worker(database_url), Worker(database_url)
    with pytest.raises(NotLeader):
        first.leadership.term()
    async with running(first) as reign:
        await soon(first.leads)
        assert first.leadership.term() == 1
        async with running(second):
            # longer than a try for the lock and than several pings
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(second.leads.wait(), 1)
            first.leadership.resign()
            await asyncio.wait_for(reign, PATIENCE)
            assert first.term_at_the_end == 1, "what winds down still leads"
            with pytest.raises(NotLeader):
                first.leadership.term()
            await soon(second.leads)
            assert second.leadership.term() == 2


async def test_a_candidate_that_waits_can_resign(database_url: str) -> None:
    first, second = Worker(database_url), Worker(database_url)
    async with running(first):
        await soon(first.leads)
        async with running(second) as waiting:
            second.leadership.resign()
            await asyncio.wait_for(waiting, PATIENCE)
            assert not second.stopped.is_set()


async def test_a_lost_session_ends_the_reign_and_the_next_has_a_higher_term(database_url: str) -> None:
    worker = Worker(database_url)
    async with running(worker):
        await soon(worker.leads)
        await end_sessions(database_url)
        await soon(worker.stopped)
        assert worker.term_at_the_end is None, "nothing may be changed any more"
        await soon(worker.leads)
        assert worker.leadership.term() == 2


async def test_what_the_reign_raises_is_raised_and_frees_the_lock(database_url: str) -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Leadership(database_url).run(fail)
    worker = Worker(database_url)
    async with running(worker):
        await soon(worker.leads)


async def test_a_stopped_process_loses_the_lock(database_url: str) -> None:
    script = """
import asyncio, sys
from cygnid.core.leader import Leadership, NotLeader
async def main():
    leadership = Leadership(sys.argv[1], idle_seconds=3, ping_seconds=0.2)
    async def lead():
        print(leadership.term(), flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            try: print(leadership.term(), flush=True)
            except NotLeader: print("lost", flush=True)
    await leadership.run(lead)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, database_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == b"1\n"
        os.kill(process.pid, signal.SIGSTOP)
        worker = Worker(database_url)
        async with running(worker):
            await soon(worker.leads)
            assert worker.leadership.term() == 2
            os.kill(process.pid, signal.SIGCONT)
            assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == b"lost\n"
            assert worker.leadership.term() == 2
    finally:
        process.kill()
        await process.wait()
