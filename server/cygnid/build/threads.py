"""Work in threads, which cannot be cancelled: it ends soon after its task was."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


class Stopped(Exception):
    """Nobody waits for this work any more."""


def go_on() -> None:
    """To be called again and again by work that takes long. Raises Stopped when its task was cancelled."""
    stop = _stop.get()
    if stop is not None and stop.is_set():
        raise Stopped


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like asyncio.to_thread, but cancelled it still waits: what the thread writes must not appear afterwards. It does
    not wait for long where the function calls `go_on`."""
    stop, task = _begin(function, *args, **kwargs)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise


async def in_thread_alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Cancelled it does not wait: for a function that leaves nothing but what others use too, and calls `go_on` before
    it does anything else."""
    stop, task = _begin(function, *args, **kwargs)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        task.add_done_callback(_heard)
        raise


def _begin(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[threading.Event, asyncio.Task[T]]:
    stop = threading.Event()
    token = _stop.set(stop)
    try:  # a task takes a copy of the context with it
        return stop, asyncio.create_task(asyncio.to_thread(function, *args, **kwargs))
    finally:
        _stop.reset(token)


def _heard(task: asyncio.Task[T]) -> None:
    if not task.cancelled():
        task.exception()
