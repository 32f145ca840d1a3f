"""Server-sent events (HTML standard, 9.2): frames, a ping in silence, a last frame that says why the stream ends."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Literal

from cygnid.core.schemas import ENCODER, Out

PING = b": ping\n\n"
PING_SECONDS = 15.0


class StreamEnd(Out, frozen=True, kw_only=True):
    """Data of the last frame. `status`: of the deployment or job; `exit_code`: of the job."""

    reason: Literal["finished", "shutdown", "unauthorized", "tooSlow"]
    status: str | None
    exit_code: int | None


class TooSlow(Exception):
    """The client does not read what it asked for."""


class Outbox:
    """What a producer sends into: a bounded queue to one client."""

    def __init__(self, *, frames: int, patience_seconds: float) -> None:
        self._queue = asyncio.Queue[bytes](frames)
        self._patience = patience_seconds
        self.changed = asyncio.Event()

    async def send(self, event: str, data: Any, *, id: str | None = None) -> None:  # noqa: A002  the field's name
        """Queue one frame. Waits while the queue is full; raises TooSlow when the client takes nothing for so long,
        which the producer lets through: it ends the stream."""
        made = frame(event, data, id=id)
        try:
            async with asyncio.timeout(self._patience):
                await self._queue.put(made)
        except TimeoutError:
            raise TooSlow from None
        self.changed.set()

    def take(self) -> bytes | None:
        """The oldest frame; None when there is none."""
        return None if self._queue.empty() else self._queue.get_nowait()


def frame(event: str, data: Any, *, id: str | None = None) -> bytes:  # noqa: A002  the field's name
    """One frame. `data` is encoded as JSON, which has no line breaks of its own; `event` and `id` must have none."""
    lines = [f"event: {event}"] + ([] if id is None else [f"id: {id}"])
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise ValueError("A line break in an event's name or id would forge frames.")
    return "\n".join(lines).encode() + b"\ndata: " + ENCODER.encode(data) + b"\n\n"


async def stream(
    produce: Callable[[Outbox], Awaitable[StreamEnd]],
    *,
    stopping: asyncio.Event,
    frames: int = 256,
    patience_seconds: float = 30,
    ping_seconds: float = PING_SECONDS,
) -> AsyncGenerator[bytes]:
    """The bytes of one stream. `produce` sends into its outbox and returns how the stream ended.

    It is cancelled when the client leaves, or `stopping` is set: then the stream ends with `shutdown`, at once, since
    the client resumes with Last-Event-ID. An exception of `produce` is raised here: the connection breaks without an
    `end`, which tells the client to come back.
    """
    outbox = Outbox(frames=frames, patience_seconds=patience_seconds)
    producer = asyncio.ensure_future(produce(outbox))
    producer.add_done_callback(lambda _: outbox.changed.set())
    watcher = asyncio.create_task(_wake(outbox, stopping))
    try:
        while True:
            if stopping.is_set():
                yield frame("end", StreamEnd(reason="shutdown", status=None, exit_code=None))
                return
            if made := outbox.take():
                yield made
                continue
            if producer.done():
                yield frame("end", _end(producer))
                return
            outbox.changed.clear()
            try:
                async with asyncio.timeout(ping_seconds):
                    await outbox.changed.wait()
            except TimeoutError:
                yield PING
    finally:
        for task in (producer, watcher):
            task.cancel()
        await asyncio.gather(producer, watcher, return_exceptions=True)


async def _wake(outbox: Outbox, stopping: asyncio.Event) -> None:
    await stopping.wait()
    outbox.changed.set()


def _end(producer: asyncio.Future[StreamEnd]) -> StreamEnd:
    try:
        return producer.result()
    except TooSlow:
        return StreamEnd(reason="tooSlow", status=None, exit_code=None)
