"""Work in threads ends when nobody waits for it any more."""

import asyncio
import threading
import time

import pytest

from cygnid.build.threads import Stopped, go_on, in_thread, in_thread_alone

LIMIT = 60


async def test_its_result_and_its_exception_are_told() -> None:
    assert await in_thread(lambda: 3) == await in_thread_alone(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_cancelled_it_is_over_before_the_task_is() -> None:
    began, ended = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        try:
            while True:
                go_on()
                time.sleep(0.001)
        finally:
            ended.set()

    task = asyncio.create_task(in_thread(work))
    async with asyncio.timeout(LIMIT):
        await asyncio.to_thread(began.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended.is_set()


async def test_what_is_left_alone_is_not_waited_for_and_stops_before_it_does_more() -> None:
    began, may_end = threading.Event(), threading.Event()
    ends: list[BaseException | None] = []

    def work() -> None:
        began.set()
        may_end.wait(LIMIT)
        try:
            go_on()
        except Stopped as stopped:
            ends.append(stopped)
            raise
        ends.append(None)

    task = asyncio.create_task(in_thread_alone(work))
    async with asyncio.timeout(LIMIT):
        await asyncio.to_thread(began.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not ends, "it still waits"
        may_end.set()
        while not ends:
            await asyncio.sleep(0.001)
    assert isinstance(ends[0], Stopped)


def test_outside_of_such_a_thread_there_is_nothing_to_stop() -> None:
    go_on()
