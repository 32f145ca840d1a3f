"""What workers leave in the database of themselves."""

from datetime import datetime
from typing import Literal

import msgspec

from cygnid.core.db import Tx


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    build: str
    started_at: datetime
    is_leader: bool
    edge: Literal["running", "stopped"]
    overdue_seconds: float


class FoundLanguage(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    versions: list[str]


class FoundSandbox(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    own_user: bool
    cgroups: Literal["v1", "v2", "none"]
    own_network: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker found on its machine; the rest of what /v1/capabilities says is known without it."""

    runtime: Literal["process"]
    builders: list[str]
    languages: list[FoundLanguage]
    sandbox: FoundSandbox


async def beat(tx: Tx, beat: Beat) -> None:
    """Say that this worker lives."""
    await tx.execute(
        """INSERT INTO workers (id, build, started_at, seen_at, is_leader, edge, overdue_seconds)
           VALUES ($1, $2, $3, clock_timestamp(), $4, $5, $6)
           ON CONFLICT (id) DO UPDATE
           SET seen_at = excluded.seen_at, is_leader = $4, edge = $5, overdue_seconds = $6""",
        beat.id,
        beat.build,
        beat.started_at,
        beat.is_leader,
        beat.edge,
        beat.overdue_seconds,
    )


async def leave(tx: Tx, worker_id: str) -> None:
    """This worker ends; nobody waits for its next beat."""
    await tx.execute("DELETE FROM workers WHERE id = $1", worker_id)


async def forget_workers(tx: Tx) -> None:
    """Before the first worker starts: what one said that lost its power counts for nothing. One that lives says it
    again."""
    await tx.execute("DELETE FROM workers")


async def forget_silent_workers(tx: Tx) -> int:
    """Delete what workers left that were killed."""
    return await tx.execute("DELETE FROM workers WHERE seen_at < clock_timestamp() - interval '1 hour'")


async def store_capabilities(tx: Tx, found: Found) -> None:
    await tx.execute(
        """INSERT INTO installation (name, value) VALUES ('capabilities', $1)
           ON CONFLICT (name) DO UPDATE SET value = excluded.value""",
        msgspec.json.encode(found).decode(),
    )
