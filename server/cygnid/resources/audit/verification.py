"""A chain computed again: by whom wants to know, and before anything is signed or removed."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from cygnid.core.db import Pool, Read, read
from cygnid.core.sealer import FIRST_HASH, Change, row_hash, stored_hash
from cygnid.core.secrets import Secrets
from cygnid.resources.audit import queries
from cygnid.resources.audit.queries import CheckpointRow, Pruned
from cygnid.resources.audit.schemas import AuditVerification
from cygnid.resources.audit.signing import Signer, message, pruned_message

_BATCH = 500


async def verify(
    pool: Pool, secrets: Secrets, team_id: str | None, *, first: int = 1, last: int | None = None
) -> AuditVerification:
    """Compute a chain again, from row `first` to `last` or its head: no row missing, each with the hash of what it
    says and of the one before, and as the checkpoints say that were signed of it. Rows that retention removed, which
    is signed too, are left out. Reads a batch at a time and holds no connection between them."""
    async with read(pool) as reader:
        head = await queries.head(reader, team_id)
        signers = await queries.signers(reader, secrets)
    end = head.seq if last is None else min(last, head.seq)
    walked = await walk(pool, signers, team_id, first, end)
    bad = walked.bad
    if bad is None and end == head.seq and first <= end and walked.hash != head.hash:
        bad = end
    if bad is None and last is None:
        async with read(pool) as reader:
            beyond = await queries.checkpoints_of(reader, team_id, head.seq + 1, None)
        bad = head.seq + 1 if beyond else None
    return AuditVerification(
        valid=bad is None, checked_rows=walked.checked, first_bad_seq=bad, head_seq=head.seq, head_hash=head.hash
    )


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """What `walk` found."""

    checked: int
    bad: int | None
    """The first row that does not fit."""
    hash: str
    """Of the last one that does."""


async def walk(pool: Pool, signers: Mapping[str, Signer], team_id: str | None, first: int, end: int) -> Walked:
    """Rows `first` to `end`. Of what was removed by retention none is missed."""
    async with read(pool) as reader:
        gone = await _removed(reader, signers, team_id)
        first = max(first, gone.through_seq + 1)
        before = await queries.part(reader, team_id, first - 1, first - 1, 1)
    expected, checked = first, 0
    previous = gone.hash if first == gone.through_seq + 1 else (before[0].hash or "") if before else ""
    while expected <= end:
        async with read(pool) as reader:
            rows = await queries.part(reader, team_id, expected, end, _BATCH)
            marks = await queries.checkpoints_of(reader, team_id, expected - 1, expected + len(rows) - 1)
        known = {expected - 1: previous} | {row.seq: row.hash for row in rows}
        good, previous = await asyncio.to_thread(_good, rows, expected, previous)
        wrong = min((mark.seq for mark in marks if not _fits(mark, known, signers)), default=None)
        checked += good
        if good < len(rows) or not rows:
            bad = expected + good
            async with read(pool) as reader:
                gone = await _removed(reader, signers, team_id)
            if bad <= gone.through_seq:  # meanwhile
                expected, previous = gone.through_seq + 1, gone.hash
                continue
            return Walked(checked=checked + bool(rows), bad=min(bad, wrong or bad), hash=previous)
        if wrong is not None:
            return Walked(checked=checked, bad=wrong, hash=previous)
        expected += good
    return Walked(checked=checked, bad=None, hash=previous)


def _fits(mark: CheckpointRow, known: Mapping[int | None, str | None], signers: Mapping[str, Signer]) -> bool:
    """Whether a checkpoint was signed by us and says what the rows say."""
    signer = signers.get(mark.key_id)
    is_signed = signer is not None and signer.signed(message(mark.team_id, mark.seq, mark.hash), mark.signature)
    return is_signed and known.get(mark.seq) == mark.hash


async def _removed(read: Read, signers: Mapping[str, Signer], team_id: str | None) -> Pruned:
    """Up to where rows were removed and by us; nothing, where what is missing was not."""
    nothing = Pruned(through_seq=0, hash=FIRST_HASH, key_id="", signature="")
    oldest = await queries.oldest(read, team_id) or (await queries.head(read, team_id)).seq + 1
    if oldest == 1:
        return nothing
    said = await queries.pruned(read, team_id)
    if said is None or said.through_seq != oldest - 1 or said.key_id not in signers:
        return nothing
    said_so = pruned_message(team_id, said.through_seq, said.hash)
    return said if signers[said.key_id].signed(said_so, said.signature) else nothing


def _good(rows: Sequence[Change], expected: int, previous: str) -> tuple[int, str]:
    """How many rows from the first on are as they were sealed, and the hash of the last of them."""
    for count, row in enumerate(rows):
        if row.seq != expected + count or row.prev_hash != previous or row.hash != _hash(row):
            return count, previous
        if row.stored_hash not in (None, stored_hash(row)):
            return count, previous
        previous = row.hash or ""
    return len(rows), previous


def _hash(row: Change) -> str | None:
    try:
        return row_hash(row)
    except msgspec.DecodeError:
        return None  # its before or after is no JSON any more
