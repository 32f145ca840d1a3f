"""Keep-alive clients that ask for one thing over and over, and notice every way in which that can go wrong."""

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Self

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_TIMEOUT_SECONDS = 10


@dataclass
class Seen:
    """What one or several clients saw."""

    answered: int = 0
    failed: int = 0
    """Another status than 200, an answer cut off, none within ten seconds."""
    closed: int = 0
    """Connections that the other side closed, or said it would."""
    slowest: float = 0
    """Seconds of the slowest answer."""
    waits: list[float] = field(default_factory=list[float])
    """Seconds of each answer."""
    bodies: set[bytes] = field(default_factory=set[bytes])

    def add(self, other: "Seen") -> None:
        self.answered += other.answered
        self.failed += other.failed
        self.closed += other.closed
        self.slowest = max(self.slowest, other.slowest)
        self.waits += other.waits
        self.bodies |= other.bodies


class Client:
    """One connection, opened again when it is closed."""

    def __init__(self, port: int, request: bytes) -> None:
        self.seen = Seen()
        self._port, self._request = port, request
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, until: asyncio.Event, *, per_second: float | None) -> Self:
        """Ask until told to stop; without a pace as fast as answers come."""
        due = time.perf_counter()
        while not until.is_set():
            await self._ask()
            if per_second:
                due += 1 / per_second
                await asyncio.sleep(max(0, due - time.perf_counter()))
        self._close()
        return self

    async def _ask(self) -> None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                status, body, stays = await self._exchange()
        except (OSError, EOFError, TimeoutError):
            self.seen.failed += 1
            self._close()
            return
        self.seen.waits.append(time.perf_counter() - began)
        self.seen.slowest = max(self.seen.slowest, self.seen.waits[-1])
        self.seen.answered += 1
        self.seen.failed += status != 200
        if len(self.seen.bodies) < 100:
            self.seen.bodies.add(body)
        if not stays:
            self.seen.closed += 1
            self._close()

    async def _exchange(self) -> tuple[int, bytes, bool]:
        """(status, body, whether the connection stays). A kept connection that was closed while nothing was under way
        is counted and opened again: RFC 9110 lets any client do that for a GET."""
        if self._reader is not None and self._reader.at_eof():
            self.seen.closed += 1
            self._close()
        kept = self._reader is not None
        try:
            return await self._send()
        except (ConnectionError, asyncio.IncompleteReadError) as problem:
            if not kept or (isinstance(problem, asyncio.IncompleteReadError) and problem.partial):
                raise
            self.seen.closed += 1
            self._close()
            return await self._send()

    async def _send(self) -> tuple[int, bytes, bool]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None:
            raise EOFError("an answer without a length")
        body = await self._reader.readexactly(int(length[1]))
        return int(head[9:12]), body, b"connection: close" not in head.lower()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def watch(
    port: int, request: bytes, until: asyncio.Event, *, clients: int, per_second: float | None = None
) -> Seen:
    """`per_second` is the pace of each client."""
    total = Seen()
    for client in await asyncio.gather(
        *(Client(port, request).run(until, per_second=per_second) for _ in range(clients))
    ):
        total.add(client.seen)
    return total


def load(port: int, request: bytes, seconds: float, *, clients: int = 16) -> Seen:
    async def run() -> Seen:
        until = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, until.set)
        return await watch(port, request, until, clients=clients)

    return uvloop.run(run())
