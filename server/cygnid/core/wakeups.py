"""The one LISTEN connection of a process: sets the event of everybody who waits for a name."""

import asyncio
import logging
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Never

import asyncpg

from cygnid.core.changes import CHANNEL

log = logging.getLogger("cygnid.wakeups")


class Wakeups:
    """A wake-up may come late, twice or for nothing. One that was missed while the connection was broken is made up
    for: all events are set whenever it is there again."""

    def __init__(self, url: str, *, ping_seconds: float = 5, retry_seconds: float = 1) -> None:
        self._url = url
        self._ping = ping_seconds
        self._retry = retry_seconds
        self._waiting: list[tuple[frozenset[str], asyncio.Event]] = []

    @contextmanager
    def subscribe(self, names: Iterable[str]) -> Generator[asyncio.Event]:
        """An event that any of these names (event types, `Wake.X`) sets. It is set at first: look once unasked."""
        entry = (frozenset(names), asyncio.Event())
        entry[1].set()
        self._waiting.append(entry)
        try:
            yield entry[1]
        finally:
            self._waiting.remove(entry)

    async def run(self) -> Never:
        """Listen until cancelled, over however many connections."""
        while True:
            try:
                await self._listen()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                log.warning("not listening for wake-ups: %r", error)
            await asyncio.sleep(self._retry)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._url, timeout=self._ping, server_settings={"application_name": "cygnid listener"}
        )
        gone = asyncio.Event()

        def notice(_: object) -> None:
            gone.set()

        try:
            connection.add_termination_listener(notice)
            await connection.add_listener(CHANNEL, self._heard)
            for _, event in self._waiting:
                event.set()
            while not gone.is_set():
                try:
                    async with asyncio.timeout(self._ping):
                        await gone.wait()
                except TimeoutError:
                    # a listener whose peer has vanished hears nothing, which looks like silence
                    await connection.execute("SELECT 1", timeout=self._ping)
        finally:
            connection.terminate()

    def _heard(self, _connection: object, _pid: int, _channel: str, name: object) -> None:
        for names, event in self._waiting:
            if name in names:
                event.set()
