"""Slow work holds up nobody, nothing is worked on twice at a time, and what is fatal ends it all."""

import asyncio
from functools import partial

import pytest

from cygnid.core.jobs import Jobs

LIMIT = 30


class Stale(Exception):
    pass


async def nothing() -> None:
    return


async def test_a_slow_job_holds_up_no_other() -> None:
    wake, go, done = asyncio.Event(), asyncio.Event(), list[str]()

    async def job(name: str) -> None:
        if name == "slow":
            await go.wait()
        done.append(name)
        if done == ["quick"]:
            go.set()

    waiting = ["slow", "quick"]

    async def look() -> None:
        while waiting:
            jobs.start(name := waiting.pop(0), partial(job, name))

    async with Jobs(wake, fatal=(Stale,)) as jobs, asyncio.timeout(LIMIT):
        await jobs.look_until_calm(look)
    assert done == ["quick", "slow"]


async def test_it_looks_again_after_each_job() -> None:
    wake, looks = asyncio.Event(), list[frozenset[str]]()

    async def look() -> None:
        looks.append(jobs.busy)
        if len(looks) < 5:
            jobs.start("thing", nothing)

    async with Jobs(wake, fatal=()) as jobs, asyncio.timeout(LIMIT):
        await jobs.look_until_calm(look)
    assert looks == [frozenset()] * 5


async def test_it_looks_again_when_it_was_told_while_it_looked() -> None:
    wake, looks = asyncio.Event(), 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            wake.set()

    async with Jobs(wake, fatal=()) as jobs, asyncio.timeout(LIMIT):
        await jobs.look_until_calm(look)
    assert looks == 2


async def test_it_looks_again_in_time() -> None:
    looks = 0

    async def look() -> float | None:
        nonlocal looks
        looks += 1
        return 0.01 if looks < 3 else None

    async with Jobs(asyncio.Event(), fatal=()) as jobs, asyncio.timeout(LIMIT):
        await jobs.look_until_calm(look)
    assert looks == 3


async def test_a_failure_is_logged_and_tried_again_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    tries = 0

    async def job() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("once")

    async def look() -> None:
        if tries < 2 and "thing" not in jobs.busy:
            jobs.start("thing", job)

    async with Jobs(asyncio.Event(), fatal=(Stale,), retry_seconds=0.01) as jobs, asyncio.timeout(LIMIT):
        await jobs.look_until_calm(look)
    assert tries == 2
    assert "the work on thing failed" in caplog.text


async def test_what_is_fatal_ends_the_others_too() -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("slow")

    async def stale() -> None:
        raise Stale

    async def look() -> None:
        if not jobs.busy:
            jobs.start("slow", slow)
            jobs.start("stale", stale)

    with pytest.raises(Stale):
        async with Jobs(asyncio.Event(), fatal=(Stale,)) as jobs, asyncio.timeout(LIMIT):
            await jobs.look_until_calm(look)
    assert ended == ["slow"]
