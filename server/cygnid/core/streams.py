"""Open streams of events and bytes: how many a token has, and that each ends when its caller may no longer see it."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable

from cygnid.core import sse
from cygnid.core.actors import Actor
from cygnid.core.errors import CygniError, RateLimited
from cygnid.core.http import Download, Producer, Services
from cygnid.core.sse import Outbox, StreamEnd

MAX_STREAMS = 20
"""Open at once, of one token."""
_RECHECK_SECONDS = 30.0
_LOSING = ("token.revoked", "token.rotated", "token.updated", "member.removed", "member.role_changed")

Ask = Callable[[], Awaitable[None]]
"""Asks again whether the caller may see this; raises the CygniError that they would be told."""


class CutOff(Exception):
    """The process ends, or the caller may see it no longer: the connection breaks."""


class Streams:
    """Those of one process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._open = Counter[str]()

    def frames(self, actor: Actor, produce: Producer, ask: Ask) -> AsyncGenerator[bytes]:
        """What is sent, until the producer ends it or the caller may see it no longer. Raises RateLimited."""
        return self._frames(self._opened(actor), produce, ask)

    def pieces(self, actor: Actor, download: Download, ask: Ask) -> AsyncGenerator[bytes]:
        """What is sent, to its end; raises CutOff where it ends sooner. Raises RateLimited."""
        return self._pieces(self._opened(actor), download, ask)

    def _opened(self, actor: Actor) -> str:
        """Who opens another one. Raises RateLimited."""
        opened = actor.token_id or actor.bucket
        if self._open[opened] >= MAX_STREAMS:
            raise RateLimited(
                f"This token has {MAX_STREAMS} streams open.",
                hint="Close one first; one stream without a filter shows several things at once.",
                details={"window": "openStreams", "limit": MAX_STREAMS, "retryAfterSeconds": 1},
                headers={"Retry-After": "1"},
            )
        return opened

    async def _frames(self, opened: str, produce: Producer, ask: Ask) -> AsyncGenerator[bytes]:
        async def while_allowed(outbox: Outbox) -> StreamEnd:
            working = asyncio.ensure_future(produce(outbox))
            watching = asyncio.create_task(self._until_refused(ask))
            try:
                await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return working.result()
                return watching.result()
            finally:
                for task in (working, watching):
                    task.cancel()
                await asyncio.gather(working, watching, return_exceptions=True)

        self._open[opened] += 1
        try:
            async for made in sse.stream(while_allowed, stopping=self._services.stopping):
                yield made
        finally:
            self._open[opened] -= 1

    async def _pieces(self, opened: str, download: Download, ask: Ask) -> AsyncGenerator[bytes]:
        self._open[opened] += 1
        made = download.pieces()
        watching = asyncio.create_task(self._until_refused(ask))
        try:
            async for piece in made:
                if watching.done() or self._services.stopping.is_set():
                    raise CutOff
                yield piece
        finally:
            self._open[opened] -= 1
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await made.aclose()

    async def _until_refused(self, ask: Ask) -> StreamEnd:
        """Ask again, at once when something like that happens."""
        with self._services.wakeups.subscribe(_LOSING) as wake:
            while True:
                wake.clear()
                try:
                    await ask()
                except CygniError:
                    return StreamEnd(reason="unauthorized", status=None, exit_code=None)
                try:
                    async with asyncio.timeout(_RECHECK_SECONDS):
                        await wake.wait()
                except TimeoutError:
                    continue
