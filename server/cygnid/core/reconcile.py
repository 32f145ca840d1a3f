"""Reconcilers make the whole truth true. They take no input, so a wake-up may be lost, doubled or late."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from cygnid.core.wakeups import Wakeups

log = logging.getLogger("cygnid.reconcile")


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """What `@reconcile` makes of a function; still called as that function."""

    name: str
    on: frozenset[str]
    every: float
    """Seconds: how late a lost wake-up is made up for."""
    run: Callable[[Any], Awaitable[None]]

    async def __call__(self, context: Any) -> None:
        await self.run(context)


def reconcile(*, on: Iterable[str], minutes: float) -> Callable[[Callable[[Any], Awaitable[None]]], Reconciler]:
    """`on`: event types and wake-ups that call it at once; `minutes`: it is called at least that often."""

    def mark(function: Callable[[Any], Awaitable[None]]) -> Reconciler:
        return Reconciler(
            name=getattr(function, "__qualname__", repr(function)), on=frozenset(on), every=minutes * 60, run=function
        )

    return mark


def reconcilers_in(modules: Iterable[ModuleType]) -> list[Reconciler]:
    """What `@reconcile` marked in these modules, each once."""
    found = (value for module in modules for value in vars(module).values() if isinstance(value, Reconciler))
    return list(dict.fromkeys(found))


async def run_reconcilers(
    reconcilers: Iterable[Reconciler],
    context: Any,
    wakeups: Wakeups,
    *,
    backoff_seconds: float = 1,
    max_backoff_seconds: float = 60,
) -> None:
    """Run them side by side until cancelled, each never twice at a time; `context` is what each is called with.
    Only a leader may run this: hand it to `Leadership.run`."""
    async with asyncio.TaskGroup() as group:
        for reconciler in reconcilers:
            group.create_task(_forever(reconciler, context, wakeups, backoff_seconds, max_backoff_seconds))


async def _forever(reconciler: Reconciler, context: Any, wakeups: Wakeups, backoff: float, max_backoff: float) -> None:
    failures = 0
    with wakeups.subscribe(reconciler.on) as wake:
        while True:
            try:
                async with asyncio.timeout(reconciler.every):
                    await wake.wait()
            except TimeoutError:
                pass
            wake.clear()  # before it reads the truth: a change from now on calls it again
            try:
                await reconciler.run(context)
                failures = 0
            except Exception:
                log.exception("%s failed and is run again", reconciler.name)
                await asyncio.sleep(min(backoff * 2**failures, max_backoff))
                failures = min(failures + 1, 30)
                wake.set()
