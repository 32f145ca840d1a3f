"""Numbers and chains what happened, after the commit.

Transactions commit in another order than their rows draw `number`, so a reader that remembers a number would skip
rows. Readers therefore go by `position`, which is given here to rows that are visible, under one lock, without gaps.
"""

import hashlib
from datetime import datetime
from typing import Any

import msgspec
import rfc8785

from cygnid.core import clock
from cygnid.core.db import Pool, Tx, begin

FIRST_HASH = "0" * 64
_EXACT = 2**53 - 1


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `changes`. `position`, `seq` and the hashes are null until it is sealed."""

    number: int
    id: str
    type: str
    team_id: str | None
    project_id: str | None
    environment: str | None
    created_at: datetime
    result: str
    actor_type: str
    actor_id: str | None
    actor_name: str
    actor_token_id: str | None
    actor_ip: str | None
    resource_type: str
    resource_id: str | None
    resource_name: str | None
    before: str | None
    after: str | None
    data: str
    reason: str | None
    request_id: str | None
    position: int | None
    seq: int | None
    prev_hash: str | None
    hash: str | None
    stored_hash: str | None = None


COLUMNS = ", ".join(Change.__struct_fields__)


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    team_id: str | None
    seq: int
    hash: str


def audit_row(row: Change) -> dict[str, Any]:
    """The wire form of an audit row, in its documented order."""
    return {
        "id": f"aud_{row.id}",
        "seq": row.seq,
        "teamId": row.team_id,
        "projectId": row.project_id,
        "environment": row.environment,
        "createdAt": clock.text(row.created_at),
        "action": row.type,
        "result": row.result,
        "actor": {
            "type": row.actor_type,
            "id": row.actor_id,
            "name": row.actor_name,
            "tokenId": row.actor_token_id,
            "ip": row.actor_ip,
        },
        "resource": {"type": row.resource_type, "id": row.resource_id, "name": row.resource_name},
        "before": None if row.before is None else msgspec.json.decode(row.before),
        "after": None if row.after is None else msgspec.json.decode(row.after),
        "reason": row.reason,
        "requestId": row.request_id,
        "prevHash": row.prev_hash,
        "hash": row.hash,
    }


def row_hash(row: Change) -> str:
    """Lower-case hex SHA-256 of the RFC 8785 form of the wire row without its `hash`; `seq` and `prev_hash` count."""
    form = audit_row(row)
    del form["hash"]
    return hashlib.sha256(rfc8785.dumps(_numbers(form))).hexdigest()


def stored_hash(row: Change) -> str:
    """Hex SHA-256 of what the table has beside the audit row: the order of all changes, the event's data, the very
    texts and microseconds."""
    beside = [row.number, row.position, row.created_at.isoformat(), row.before, row.after, row.data, row.hash]
    return hashlib.sha256(msgspec.json.encode(beside)).hexdigest()


async def seal(pool: Pool, *, batch: int = 500) -> int:
    """Seal every visible unsealed row, `batch` to a transaction; returns how many. Two at once only wait for
    each other, yet it is meant for the leader."""
    total = 0
    while True:
        async with begin(pool) as tx:
            sealed = await _seal_batch(tx, batch)
        total += sealed
        if sealed < batch:
            return total


async def _seal_batch(tx: Tx, batch: int) -> int:
    # a statement of its own: the next one must see what another sealer committed while we waited
    position = int(await tx.value("SELECT value FROM change_position FOR UPDATE"))
    rows = await tx.all(
        Change,
        f"SELECT {COLUMNS} FROM changes WHERE position IS NULL ORDER BY number LIMIT $1",  # noqa: S608 - constants
        batch,
    )
    if not rows:
        return 0
    heads = {
        head.team_id: head
        for head in await tx.all(
            _Head,
            "SELECT team_id, seq, hash FROM change_chains WHERE team_id = ANY($1) OR team_id IS NULL",
            list({row.team_id for row in rows if row.team_id is not None}),
        )
    }
    sealed: list[Change] = []
    for at, row in enumerate(rows, position + 1):
        head = heads.get(row.team_id, _Head(team_id=row.team_id, seq=0, hash=FIRST_HASH))
        linked = msgspec.structs.replace(row, position=at, seq=head.seq + 1, prev_hash=head.hash)
        linked = msgspec.structs.replace(linked, hash=row_hash(linked))
        linked = msgspec.structs.replace(linked, stored_hash=stored_hash(linked))
        heads[row.team_id] = _Head(team_id=row.team_id, seq=head.seq + 1, hash=linked.hash or "")
        sealed.append(linked)
    await tx.execute(
        """UPDATE changes SET position = new.position, seq = new.seq, prev_hash = new.prev_hash, hash = new.hash,
               stored_hash = new.stored_hash
           FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[])
                AS new (number, position, seq, prev_hash, hash, stored_hash)
           WHERE changes.number = new.number""",
        [row.number for row in sealed],
        [row.position for row in sealed],
        [row.seq for row in sealed],
        [row.prev_hash for row in sealed],
        [row.hash for row in sealed],
        [row.stored_hash for row in sealed],
    )
    changed = [heads[team] for team in {row.team_id for row in sealed}]
    await tx.execute(
        """INSERT INTO change_chains (team_id, seq, hash) SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])
           ON CONFLICT (team_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash""",
        [head.team_id for head in changed],
        [head.seq for head in changed],
        [head.hash for head in changed],
    )
    await tx.execute("UPDATE change_position SET value = $1", sealed[-1].position)
    return len(sealed)


def _numbers(value: Any) -> Any:
    """Integers beyond what a double holds exactly, as doubles: that is what RFC 8785 makes of any number, and one
    such value must not stop the chain for ever."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
        return float(value)
    return value
