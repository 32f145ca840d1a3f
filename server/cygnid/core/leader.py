"""Leadership: at most one worker holds a session's advisory lock, and each reign has a higher term than the last."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from cygnid.core import clock

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = Any

log = logging.getLogger("cygnid.leader")

LOCK = int.from_bytes(b"cygnlead")
_BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


class NotLeader(Exception):
    """This worker does not lead, or can no longer be sure that it does."""


class Leadership:
    """Campaigns for the lock on a connection of its own.

    The server ends a session that says nothing for `idle_seconds`, so that a stopped process does not hold the lock
    for ever; the holder therefore speaks every `ping_seconds` and trusts its lock no longer than the server would.
    """

    def __init__(
        self, url: str, *, idle_seconds: float = 15, ping_seconds: float = 5, retry_seconds: float = 1
    ) -> None:
        self._url = url
        self._idle = idle_seconds
        self._ping = ping_seconds
        self._retry = retry_seconds
        self._term: int | None = None
        self._sure_until = 0.0
        self._resigned = asyncio.Event()

    def term(self) -> int:
        """The term of this reign, for whatever must tell an old leader from a new one. Raises NotLeader."""
        if self._term is None or time.monotonic() >= self._sure_until:
            raise NotLeader
        return self._term

    def resign(self) -> None:
        """Give way to the next leader: `lead` is cancelled, the lock let go once it has ended, `run` returns."""
        self._resigned.set()

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Run `lead` whenever the lock is ours, cancel it when the lock is lost, and campaign again.

        Returns after `resign()`, or when `lead` ends by itself; what `lead` raises is raised here.
        """
        while not self._resigned.is_set():
            try:
                connection = await self._connect()
            except (*_BROKEN, TimeoutError) as error:
                log.warning("cannot campaign for leadership: %s", error)
                await self._wait_for_resignation(self._retry)
                continue
            try:
                if await self._take(connection) and await self._reign(connection, lead):
                    return
            finally:
                # a session that hangs must not hold us up; the server lets its lock go by `idle_seconds` at the latest
                connection.terminate() if self._term is None else await self._let_go(connection)

    async def _connect(self) -> _Connection:
        return await asyncpg.connect(
            self._url,
            timeout=self._idle,
            server_settings={
                "application_name": "cygnid leader",
                "idle_session_timeout": str(round(self._idle * 1000)),
                # a statement that waits keeps a snapshot, which would hold back vacuum for as long as we stand by
                "lock_timeout": str(round(self._ping * 1000)),
            },
        )

    async def _take(self, connection: _Connection) -> bool:
        """Wait for the lock and raise the term; False: resigned, or the connection broke."""
        resigned = asyncio.create_task(self._resigned.wait())
        try:
            while not self._resigned.is_set():
                taking = asyncio.create_task(self._try(connection))
                try:
                    await asyncio.wait({taking, resigned}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not taking.done():
                        taking.cancel()
                        await asyncio.wait({taking})
                if taking.cancelled() or self._resigned.is_set():
                    return False
                if taking.result():
                    return True
        except (*_BROKEN, TimeoutError) as error:
            log.warning("lost the connection while campaigning for leadership: %s", error)
            await self._wait_for_resignation(self._retry)
        finally:
            resigned.cancel()
        return False

    async def _try(self, connection: _Connection) -> bool:
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", LOCK, timeout=self._ping + self._idle)
        except asyncpg.LockNotAvailableError:
            return False
        asked = time.monotonic()
        term = await connection.fetchval(
            "UPDATE leadership SET term = term + 1, taken_at = $1 RETURNING term", clock.now(), timeout=self._idle
        )
        self._sure_until = asked + self._idle
        self._term = term
        return True

    async def _reign(self, connection: _Connection, lead: Callable[[], Awaitable[None]]) -> bool:
        """True: ended by our own will; False: lost."""
        log.info("leading, term %s", self._term)
        leading = asyncio.ensure_future(lead())
        pinging = asyncio.create_task(self._keep(connection))
        resigned = asyncio.create_task(self._resigned.wait())
        try:
            await asyncio.wait({leading, pinging, resigned}, return_when=asyncio.FIRST_COMPLETED)
            if lost := pinging.done():
                log.warning("lost leadership of term %s", self._term)
                self._term = None
        finally:
            # pings go on meanwhile: what winds down still leads, unless the lock is lost
            leading.cancel()
            await asyncio.wait({leading})
            for task in (pinging, resigned):
                task.cancel()
            await asyncio.wait({pinging, resigned})
        if not leading.cancelled():
            leading.result()
        return not lost

    async def _keep(self, connection: _Connection) -> None:
        """Ping; returns as soon as the session is gone or does not answer in time."""
        gone = asyncio.Event()

        def notice(_: object) -> None:
            gone.set()

        connection.add_termination_listener(notice)
        while not gone.is_set():
            try:
                async with asyncio.timeout(self._ping):
                    await gone.wait()
            except TimeoutError:
                asked = time.monotonic()
                try:
                    await connection.execute("SELECT 1", timeout=max(self._sure_until - asked, 0.001))
                except (*_BROKEN, TimeoutError) as error:
                    log.warning("the leader's session does not answer: %r", error)
                    return
                self._sure_until = asked + self._idle

    async def _let_go(self, connection: _Connection) -> None:
        self._term = None
        try:
            await connection.close(timeout=self._ping)
        except (*_BROKEN, TimeoutError) as error:
            log.warning("the leader's session ended badly: %r", error)

    async def _wait_for_resignation(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._resigned.wait()
        except TimeoutError:
            return
