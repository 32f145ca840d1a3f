"""Waiting for the sealer, checking its work, and signing it."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from cygnid.core import changes, clock
from cygnid.core.actors import Actor
from cygnid.core.changes import Subject, Wake
from cygnid.core.db import Pool, Tx, begin, read
from cygnid.core.ids import new_id
from cygnid.core.sealer import FIRST_HASH, Change, row_hash
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.resources.audit import queries, signing
from cygnid.resources.audit.queries import ChainHead, Chains, CheckpointRow
from cygnid.resources.audit.schemas import AuditEvent, AuditVerification, ExportQuery
from cygnid.resources.audit.signing import Signer, new_signer

CHECKPOINT_EVERY = timedelta(hours=1)
CHECKPOINT_ROWS = 1000
"""A chain that grew by so many rows has a checkpoint sooner."""

_PATIENCE_SECONDS = 2.0
_BATCH = 500

log = logging.getLogger("cygnid.audit")


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


async def record_export(
    tx: Tx, actor: Actor, heads: Sequence[ChainHead], query: ExportQuery, *, request_id: str | None
) -> None:
    """That somebody takes rows of these chains away, in each of them."""
    asked: dict[str, Any] = msgspec.to_builtins(query)
    said = {name: value for name, value in asked.items() if value is not None}
    for head in heads:
        subject = Subject(type="auditLog", id=None, name=None, team_id=head.team_id)
        await changes.record(tx, actor, AuditEvent.EXPORTED, subject, after=said, data=said, request_id=request_id)


async def verify(
    pool: Pool, secrets: Secrets, team_id: str | None, *, first: int = 1, last: int | None = None
) -> AuditVerification:
    """Compute a chain again, from row `first` to `last` or its head: no row missing, each with the hash of what it
    says and of the one before, and as the checkpoints say that were signed of it. Reads a batch at a time and holds no
    connection between them."""
    async with read(pool) as reader:
        head = await queries.head(reader, team_id)
        signers = await queries.signers(reader, secrets)
    end = head.seq if last is None else min(last, head.seq)
    walked = await _walk(pool, signers, team_id, first, end)
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


async def sign_heads(pool: Pool, secrets: Secrets) -> None:
    """A checkpoint of every chain that has grown enough, or for long enough. Rows since the last one are computed
    again first: what does not fit is not signed but said in the log of the process."""
    async with read(pool) as reader:
        chains = await queries.grown(reader, rows=CHECKPOINT_ROWS, since=clock.now() - CHECKPOINT_EVERY)
    for chain in chains:
        signer, signers = await _signers(pool, secrets)
        walked = await _walk(pool, signers, chain.team_id, chain.signed_seq + 1, chain.seq)
        if walked.bad is None:
            async with begin(pool) as tx:
                await _keep(tx, signer, chain.team_id, chain.seq, walked.hash)
        else:
            log.error(
                "the audit log of %s does not fit from row %d on: no checkpoint is signed",
                chain.team_id or "the installation",
                walked.bad,
            )


async def _signers(pool: Pool, secrets: Secrets) -> tuple[Signer, dict[str, Signer]]:
    """The one that signs, made when it is first needed, and all that ever did."""
    async with begin(pool) as tx:
        found = await queries.signers(tx, secrets)
        if not found:
            made = new_signer()
            await tx.execute(
                "INSERT INTO audit_keys (id, secret, created_at) VALUES ($1, $2, $3)",
                made.key_id,
                signing.seal(secrets, made),
                clock.now(),
            )
            found = {made.key_id: made}
    return list(found.values())[-1], found


async def _keep(tx: Tx, signer: Signer, team_id: str | None, seq: int, hash_: str) -> None:
    now = clock.now()
    await tx.execute(
        """INSERT INTO audit_checkpoints (id, team_id, seq, hash, signed_at, key_id, public_key, signature)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT ON CONSTRAINT audit_checkpoints_chain DO NOTHING""",
        new_id("chk"),
        team_id,
        seq,
        hash_,
        now,
        signer.key_id,
        signer.public_key,
        signer.sign(team_id, seq, hash_),
    )
    await tx.execute(
        """UPDATE change_chains SET signed_seq = $2, signed_at = $3
           WHERE team_id IS NOT DISTINCT FROM $1 AND signed_seq < $2""",
        team_id,
        seq,
        now,
    )


class _Walked(msgspec.Struct, frozen=True, kw_only=True):
    checked: int
    bad: int | None
    """The first row that does not fit."""
    hash: str
    """Of the last one that does."""


async def _walk(pool: Pool, signers: Mapping[str, Signer], team_id: str | None, first: int, end: int) -> _Walked:
    async with read(pool) as reader:
        before = await queries.part(reader, team_id, first - 1, first - 1, 1)
    expected, previous, checked = first, FIRST_HASH, 0
    if first > 1:
        previous = (before[0].hash or "") if before else ""
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
            return _Walked(checked=checked + bool(rows), bad=min(bad, wrong or bad), hash=previous)
        if wrong is not None:
            return _Walked(checked=checked, bad=wrong, hash=previous)
        expected += good
    return _Walked(checked=checked, bad=None, hash=previous)


def _fits(mark: CheckpointRow, known: Mapping[int | None, str | None], signers: Mapping[str, Signer]) -> bool:
    """Whether a checkpoint was signed by us and says what the rows say."""
    signer = signers.get(mark.key_id)
    is_signed = signer is not None and signer.signed(mark.team_id, mark.seq, mark.hash, mark.signature)
    return is_signed and known.get(mark.seq) == mark.hash


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
