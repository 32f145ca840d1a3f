"""Whether live instances are healthy, and what follows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from cygnid.backends import Backends
from cygnid.core import clock
from cygnid.core.db import begin, read
from cygnid.resources.instances import queries, seen
from cygnid.resources.instances.queries import CheckedRow
from cygnid.resources.instances.schemas import INTERVAL_SECONDS
from cygnid.runtime.base import Address

PROBE_SECONDS = 5
"""How long one answer may take."""
SOON_SECONDS = 2
"""How soon one that failed is asked again, if its interval is not shorter."""
STARTING_SECONDS = 0.25
READ_SECONDS = 60
"""How late a lost wake-up is made up for."""
UNHEALTHY_AFTER, AILING_AFTER = 3, 6
"""Failures in a row."""


@dataclass(kw_only=True)
class Health:
    """What is remembered of one life of an instance. A new leader begins anew, which costs it a few checks."""

    next_at: float = 0.0
    failures: int = 0
    answered: bool = False
    """One of the failures was an answer."""


@dataclass(kw_only=True)
class Checker:
    backends: Backends
    changed: asyncio.Event
    """Set when instances may have changed."""
    _rows: Sequence[CheckedRow] = ()
    _read_at: float = 0.0
    _healths: dict[tuple[str, object], Health] = field(default_factory=dict[tuple[str, object], Health])

    async def rows(self) -> Sequence[CheckedRow]:
        """What is to be looked after. Checks are many and changes are few, so the rows are kept between them."""
        if self.changed.is_set() or time.monotonic() - self._read_at >= READ_SECONDS:
            self.changed.clear()
            self._read_at = time.monotonic()
            async with read(self.backends.pool) as reader:
                self._rows = await queries.checked(reader)
            kept = {(row.id, row.started_at) for row in self._rows}
            self._healths = {key: health for key, health in self._healths.items() if key in kept}
        return self._rows

    def due(self, row: CheckedRow) -> tuple[float, Callable[[], Awaitable[None]] | None]:
        """In how many seconds it is to be checked, and how if that is now."""
        if row.port is None or row.host is None:
            assert row.started_at is not None
            left = row.spec.start_seconds - (clock.now() - row.started_at).total_seconds()
            if row.status != "starting":
                return INTERVAL_SECONDS, None
            return left, partial(self._alive, row) if left <= 0 else None
        health = self._healths.setdefault((row.id, row.started_at), Health())
        left = health.next_at - time.monotonic()
        address = Address(host=row.host, port=row.port)
        return left, partial(self._probe, row, address, health) if left <= 0 else None

    async def _alive(self, row: CheckedRow) -> None:
        async with begin(self.backends.pool) as tx:
            await seen.healthy(tx, row)

    async def _probe(self, row: CheckedRow, address: Address, health: Health) -> None:
        url = urlsplit(self.backends.settings.url(row.project, row.environment))
        spec = row.spec
        interval = spec.health_check.interval_seconds if spec.health_check else INTERVAL_SECONDS
        result = await self.backends.runtime.probe(
            address,
            host=url.netloc,
            path=spec.probe_path,
            protocol=spec.protocol,
            scheme=url.scheme,
            timeout_seconds=PROBE_SECONDS,
        )
        if spec.accepts(result.status):
            health.next_at, health.failures, health.answered = time.monotonic() + interval, 0, False
            if row.status != "running":
                async with begin(self.backends.pool) as tx:
                    if not await seen.healthy(tx, row):
                        health.next_at = time.monotonic() + STARTING_SECONDS
            return
        health.failures += 1
        health.answered = health.answered or result.status is not None
        why = result.error or f"GET {spec.probe_path} was answered with {result.status}"
        if row.status == "starting":
            health.next_at = time.monotonic() + STARTING_SECONDS
            assert row.started_at is not None
            if (clock.now() - row.started_at).total_seconds() >= spec.start_seconds:
                await self._unhealthy(row, f"{why}, {spec.start_seconds} s after its start", ailing=True)
            return
        health.next_at = time.monotonic() + min(interval, SOON_SECONDS)
        # An app that still answers is only started again if it asked for a strict check: most visitors may fare better
        # than the probe, and with nothing at all they would not.
        ailing = health.failures >= AILING_AFTER and (spec.health_check is not None or not health.answered)
        if ailing or (health.failures >= UNHEALTHY_AFTER and row.status != "unhealthy"):
            await self._unhealthy(row, why, ailing=ailing)

    async def _unhealthy(self, row: CheckedRow, why: str, *, ailing: bool) -> None:
        async with begin(self.backends.pool) as tx:
            await seen.unhealthy(tx, row, why, ailing=ailing)
