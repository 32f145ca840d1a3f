"""What happens to chains: they are waited for, taken away, signed, and cut off where they are too old."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from cygnid.core import changes, clock
from cygnid.core.actors import SYSTEM, Actor
from cygnid.core.changes import Subject, Wake
from cygnid.core.db import Pool, Tx, begin, read
from cygnid.core.ids import new_id
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.resources.audit import queries, signing
from cygnid.resources.audit.queries import ChainHead, Chains
from cygnid.resources.audit.schemas import AuditEvent, ExportQuery
from cygnid.resources.audit.signing import Signer, message, new_signer, pruned_message
from cygnid.resources.audit.verification import walk

CHECKPOINT_EVERY = timedelta(hours=1)
CHECKPOINT_ROWS = 1000
"""A chain that grew by so many rows has a checkpoint sooner."""

_PATIENCE_SECONDS = 2.0

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


async def sign_heads(pool: Pool, secrets: Secrets) -> None:
    """A checkpoint of every chain that has grown enough, or for long enough. Rows since the last one are computed
    again first: what does not fit is not signed but said in the log of the process."""
    async with read(pool) as reader:
        chains = await queries.grown(reader, rows=CHECKPOINT_ROWS, since=clock.now() - CHECKPOINT_EVERY)
    for chain in chains:
        signer, signers = await _signers(pool, secrets)
        walked = await walk(pool, signers, chain.team_id, chain.signed_seq + 1, chain.seq)
        if walked.bad is None:
            async with begin(pool) as tx:
                await _keep(tx, signer, chain.team_id, chain.seq, walked.hash)
        else:
            log.error(
                "the audit log of %s does not fit from row %d on: no checkpoint is signed",
                chain.team_id or "the installation",
                walked.bad,
            )


async def prune(pool: Pool, secrets: Secrets, *, days: int) -> None:
    """Remove the rows that a checkpoint older than `days` covers, after they were computed again. That it was done is
    a row, signed, which stands for them when the chain is verified."""
    async with read(pool) as reader:
        marks = await queries.newest_checkpoints(reader, clock.now() - timedelta(days=days))
    for mark in marks:
        async with read(pool) as reader:
            oldest = await queries.oldest(reader, mark.team_id)
        if oldest is None or oldest > mark.seq:
            continue
        signer, signers = await _signers(pool, secrets)
        walked = await walk(pool, signers, mark.team_id, oldest, mark.seq)
        if walked.bad is None:
            async with begin(pool) as tx:
                await _remove(tx, signer, mark.team_id, first=oldest, last=mark.seq, hash_=walked.hash)
        else:
            log.error(
                "the audit log of %s does not fit from row %d on: nothing of it is removed",
                mark.team_id or "the installation",
                walked.bad,
            )


async def _remove(tx: Tx, signer: Signer, team_id: str | None, *, first: int, last: int, hash_: str) -> None:
    for table in ("changes", "audit_checkpoints"):
        keep = last if table == "changes" else last - 1  # the checkpoint itself tells that the rest begins there
        await tx.execute(
            f"DELETE FROM {table} WHERE (team_id = $1 OR ($1 IS NULL AND team_id IS NULL)) AND seq <= $2",  # noqa: S608
            team_id,
            keep,
        )
    said = {
        "throughSeq": last,
        "hash": hash_,
        "rows": last - first + 1,
        "keyId": signer.key_id,
        "signature": signer.sign(pruned_message(team_id, last, hash_)),
    }
    subject = Subject(type="auditLog", id=None, name=None, team_id=team_id)
    await changes.record(tx, SYSTEM, AuditEvent.PRUNED, subject, after=said, data=said)


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
        signer.sign(message(team_id, seq, hash_)),
    )
    await tx.execute(
        """UPDATE change_chains SET signed_seq = $2, signed_at = $3
           WHERE team_id IS NOT DISTINCT FROM $1 AND signed_seq < $2""",
        team_id,
        seq,
        now,
    )
