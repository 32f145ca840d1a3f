"""Lines as they are stored, for whoever waits."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from cygnid.core.db import Read, read
from cygnid.core.http import Services
from cygnid.core.paging import Condition, where
from cygnid.core.sse import Outbox, StreamEnd
from cygnid.resources.logs import queries
from cygnid.resources.logs.lines import first_id
from cygnid.resources.logs.schemas import Gap

_PAGE = 500
_LOOK_SECONDS = 15.0
"""How late a lost wake-up is made up for."""

Ended = Callable[[Read], Awaitable[StreamEnd | None]]


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a stream of lines begins."""

    first: str
    """The lowest id that is wanted."""
    gap: Gap | None


async def oldest(read: Read, conditions: Sequence[Condition], last_event_id: str | None) -> Start:
    """After the line that the client saw last, else at the oldest that is kept; with a gap when its line is not."""
    if last_event_id is None:
        return Start(first=first_id(0), gap=None)
    seen = (
        await queries.oldest(read, [*conditions, where("id = $1", last_event_id)]) if _can_be(last_event_id) else None
    )
    if seen is not None:
        return Start(first=_after(seen.id), gap=None)
    found = await queries.oldest(read, conditions)
    return Start(first=first_id(0), gap=Gap(from_=found.timestamp if found else None))


async def newest(read: Read, conditions: Sequence[Condition], last_event_id: str | None) -> Start:
    """The same, but what comes from now on where the client has seen none."""
    if last_event_id is None:
        return Start(first=await queries.head(read), gap=None)
    return await oldest(read, conditions, last_event_id)


def follow(
    services: Services,
    conditions: Sequence[Condition],
    start: Start,
    *,
    wakes: Iterable[str],
    ended: Ended | None = None,
) -> Callable[[Outbox], Awaitable[StreamEnd]]:
    """Sends the lines for which all `conditions` hold, each once, in the order of their ids, until `ended` answers how
    it ends: of what is `finished` the rest is sent first. `wakes`: when to look again, at `store.wake_of(project_id)`
    and whatever changes the answer of `ended`."""
    names = frozenset(wakes)

    async def produce(outbox: Outbox) -> StreamEnd:
        first = start.first
        if start.gap is not None:
            await outbox.send("gap", start.gap)
        with services.wakeups.subscribe(names) as woken:
            while True:
                woken.clear()
                async with read(services.pool) as reader:
                    end = None if ended is None else await ended(reader)
                    if end is not None and end.reason != "finished":
                        return end
                    head = await queries.head(reader)
                    lines = await queries.lines_between(reader, conditions, first, head, _PAGE)
                for line in lines:
                    await outbox.send("log", line, id=line.id)
                if len(lines) == _PAGE:
                    first = _after(lines[-1].id)
                    continue
                first = max(first, head)
                if end is not None:
                    return end
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await woken.wait()
                except TimeoutError:
                    continue

    return produce


def _after(identifier: str) -> str:
    return identifier + "0"


def _can_be(identifier: str) -> bool:
    """Anything may stand in the header; the database takes no NUL."""
    return identifier.startswith("log_") and "\0" not in identifier
