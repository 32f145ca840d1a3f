"""Waiting for the sealer, and checking its work."""

import asyncio
from collections.abc import Sequence

import msgspec

from cygnid.core import changes
from cygnid.core.changes import Wake
from cygnid.core.db import Pool, begin, read
from cygnid.core.sealer import FIRST_HASH, Change, row_hash
from cygnid.core.wakeups import Wakeups
from cygnid.resources.audit import queries
from cygnid.resources.audit.queries import Chains
from cygnid.resources.audit.schemas import AuditVerification

_PATIENCE_SECONDS = 2.0
_BATCH = 500


async def await_sealed(pool: Pool, wakeups: Wakeups, chains: Chains, *, patience: float = _PATIENCE_SECONDS) -> bool:
    """Wait until every row that is there now is sealed; no connection is held meanwhile. False: it took too long."""
    with wakeups.subscribe([Wake.SEALED]) as woken:
        async with read(pool) as reader:
            last = await queries.last_unsealed(reader, chains)
        if last is None:
            return True
        async with begin(pool) as tx:
            await changes.wake(tx, Wake.SEALER)
        try:
            async with asyncio.timeout(patience):
                while True:
                    woken.clear()
                    async with read(pool) as reader:
                        if await queries.last_unsealed(reader, chains, up_to=last) is None:
                            return True
                    await woken.wait()
        except TimeoutError:
            return False


async def verify(pool: Pool, team_id: str | None, *, first: int = 1, last: int | None = None) -> AuditVerification:
    """Compute a chain again, from row `first` to `last` or its head: no row missing, each with the hash of what it
    says and of the one before. Reads a batch at a time and holds no connection between them."""
    async with read(pool) as reader:
        head = await queries.head(reader, team_id)
        before = await queries.part(reader, team_id, first - 1, first - 1, 1)
    end = head.seq if last is None else min(last, head.seq)
    expected, previous, checked = first, FIRST_HASH, 0
    bad: int | None = None
    if first > 1:
        previous = (before[0].hash or "") if before else ""
    while expected <= end and bad is None:
        async with read(pool) as reader:
            rows = await queries.part(reader, team_id, expected, end, _BATCH)
        good, previous = await asyncio.to_thread(_good, rows, expected, previous)
        checked += good
        expected += good
        if good < len(rows) or not rows:
            bad = expected
            checked += bool(rows)
    if bad is None and end == head.seq and first <= end and previous != head.hash:
        bad = end
    return AuditVerification(
        valid=bad is None, checked_rows=checked, first_bad_seq=bad, head_seq=head.seq, head_hash=head.hash
    )


def _good(rows: Sequence[Change], expected: int, previous: str) -> tuple[int, str]:
    """How many rows from the first on are as they were sealed, and the hash of the last of them."""
    for count, row in enumerate(rows):
        if row.seq != expected + count or row.prev_hash != previous or row.hash != _hash(row):
            return count, previous
        previous = row.hash or ""
    return len(rows), previous


def _hash(row: Change) -> str | None:
    try:
        return row_hash(row)
    except msgspec.DecodeError:
        return None  # its before or after is no JSON any more
