"""The tables `changes`, `change_chains` and `audit_checkpoints`, as an auditor reads them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cygnid.core.db import Read
from cygnid.core.filters import by_time, chosen
from cygnid.core.paging import Condition, Listing, fetch, filtered, where
from cygnid.core.schemas import Page, alike
from cygnid.core.sealer import COLUMNS, FIRST_HASH, Change, audit_row
from cygnid.core.secrets import Secrets
from cygnid.resources.audit import signing
from cygnid.resources.audit.schemas import AuditCheckpoint, AuditEvent, AuditQuery, AuditRow, CheckpointsQuery
from cygnid.resources.audit.signing import Signer

_ROWS = Listing(
    select="""SELECT number, id, type, team_id, project_id, environment, created_at, result, actor_type, actor_id,
        actor_name, actor_token_id, actor_ip, resource_type, resource_id, resource_name, before, after, data, reason,
        request_id, position, seq, prev_hash, hash,
        stored_hash FROM changes""",
    sorts={"createdAt": "created_at"},
)
_CHECKPOINT_SELECT = "SELECT id, team_id, seq, hash, signed_at, key_id, public_key, signature FROM audit_checkpoints"
_CHECKPOINTS = Listing(
    select=_CHECKPOINT_SELECT,
    sorts={"signedAt": "signed_at", "seq": "seq"},
    default="-signedAt",
)
_SEALED = where("position IS NOT NULL")


class Chains(msgspec.Struct, frozen=True, kw_only=True):
    """Whose rows."""

    team_ids: list[str]
    installation: bool
    """The chain of what belongs to no team."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    hash: str


class ChainHead(msgspec.Struct, frozen=True, kw_only=True):
    team_id: str | None
    seq: int


class CheckpointRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str | None
    seq: int
    hash: str
    signed_at: datetime
    key_id: str
    public_key: str
    signature: str


class Pruned(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Rows up to here were removed; the hash is that of the last of them."""

    through_seq: int
    hash: str
    key_id: str
    signature: str


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """A chain with rows that no checkpoint covers."""

    team_id: str | None
    seq: int
    signed_seq: int


class _Key(msgspec.Struct, frozen=True, kw_only=True):
    secret: bytes


async def rows(read: Read, chains: Chains, query: AuditQuery, project_id: str | None) -> Page[AuditRow]:
    """One page of sealed rows; `project_id`: the id of the project that the query names. Raises as `paging.fetch`."""
    page = await fetch(read, Change, _ROWS, query, [_SEALED, _of(chains), *conditions(query, project_id)])
    return Page(items=[shown(row) for row in page.items], pagination=page.pagination)


async def heads(read: Read, chains: Chains) -> Sequence[ChainHead]:
    """The ends of these chains, the installation's first; of those that have rows."""
    return await read.all(
        ChainHead,
        """SELECT team_id, seq FROM change_chains WHERE team_id = ANY($1) OR ($2 AND team_id IS NULL)
           ORDER BY team_id NULLS FIRST""",
        chains.team_ids,
        chains.installation,
    )


async def matching(
    read: Read, chain: ChainHead, after: int, conditions: Sequence[Condition], limit: int
) -> Sequence[Change]:
    """Rows of one chain that the conditions mean, in its order, from behind row `after` to its head."""
    within = where("seq > $1 AND seq <= $2", after, chain.seq)
    own = where("team_id IS NULL") if chain.team_id is None else where("team_id = $1", chain.team_id)
    sql, values = filtered(_ROWS, [own, within, *conditions])
    return await read.all(Change, f"{sql} ORDER BY seq LIMIT {limit}", *values)


async def row(read: Read, identifier: str) -> Change | None:
    """The change whose `aud_` or `evt_` has these 26 characters, sealed or not."""
    return await read.one(Change, f"SELECT {COLUMNS} FROM changes WHERE id = $1", identifier)  # noqa: S608  constant


async def last_unsealed(read: Read, chains: Chains, *, up_to: int | None = None) -> int | None:
    """The highest number that waits for the sealer, at most `up_to`; None: none does."""
    return await read.value(
        """SELECT max(number) FROM changes
           WHERE position IS NULL AND (team_id = ANY($1) OR ($2 AND team_id IS NULL))
             AND ($3::bigint IS NULL OR number <= $3)""",
        chains.team_ids,
        chains.installation,
        up_to,
    )


async def head(read: Read, team_id: str | None) -> Head:
    """The end of a chain; of one without rows the beginning."""
    chain, values = _in_chain(team_id, 1)
    found = await read.one(Head, f"SELECT seq, hash FROM change_chains WHERE {chain}", *values)  # noqa: S608
    return found or Head(seq=0, hash=FIRST_HASH)


async def part(read: Read, team_id: str | None, first: int, last: int, limit: int) -> Sequence[Change]:
    """Rows of a chain from `first` to `last`, in its order, at most `limit`."""
    chain, values = _in_chain(team_id, 4)
    return await read.all(
        Change,
        f"SELECT {COLUMNS} FROM changes WHERE seq BETWEEN $1 AND $2 AND {chain} ORDER BY seq LIMIT $3",  # noqa: S608
        first,
        last,
        limit,
        *values,
    )


async def checkpoints(read: Read, chains: Chains, query: CheckpointsQuery) -> Page[AuditCheckpoint]:
    """One page. Raises as `paging.fetch`."""
    page = await fetch(read, CheckpointRow, _CHECKPOINTS, query, [_of(chains)])
    items = [AuditCheckpoint(**alike(row, AuditCheckpoint)) for row in page.items]
    return Page(items=items, pagination=page.pagination)


async def checkpoints_of(read: Read, team_id: str | None, first: int, last: int | None) -> Sequence[CheckpointRow]:
    """Those of a chain from row `first` to `last`, or to its end."""
    chain, values = _in_chain(team_id, 3)
    return await read.all(
        CheckpointRow,
        f"{_CHECKPOINT_SELECT} WHERE seq >= $1 AND ($2::bigint IS NULL OR seq <= $2) AND {chain} ORDER BY seq",
        first,
        last,
        *values,
    )


async def newest_checkpoints(read: Read, until: datetime) -> Sequence[ChainHead]:
    """Of each chain the newest that was signed by then."""
    return await read.all(
        ChainHead,
        """SELECT DISTINCT ON (team_id) team_id, seq FROM audit_checkpoints WHERE signed_at <= $1
           ORDER BY team_id, seq DESC""",
        until,
    )


async def oldest(read: Read, team_id: str | None) -> int | None:
    """The seq of the first row of a chain that is still there; None: it has none."""
    chain, values = _in_chain(team_id, 1)
    return await read.value(
        f"SELECT seq FROM changes WHERE seq IS NOT NULL AND {chain} ORDER BY seq LIMIT 1",  # noqa: S608
        *values,
    )


async def pruned(read: Read, team_id: str | None) -> Pruned | None:
    """What the newest row says that stands for removed ones."""
    chain, values = _in_chain(team_id, 1)
    said = await read.value(
        f"SELECT after FROM changes WHERE type = '{AuditEvent.PRUNED}' AND {chain} ORDER BY number DESC LIMIT 1",  # noqa: S608
        *values,
    )
    try:
        return msgspec.json.decode(said or "", type=Pruned)
    except msgspec.MsgspecError:
        return None  # there is none, or somebody altered it


async def grown(read: Read, *, rows: int, since: datetime) -> Sequence[Grown]:
    """Chains with so many rows that no checkpoint covers, or with any where the last one was made before `since`."""
    return await read.all(
        Grown,
        """SELECT team_id, seq, signed_seq FROM change_chains
           WHERE seq - signed_seq >= $1 OR (seq > signed_seq AND coalesce(signed_at <= $2, true))""",
        rows,
        since,
    )


async def signers(read: Read, secrets: Secrets) -> dict[str, Signer]:
    """By their ids; without those that were not sealed by this installation's key."""
    rows = await read.all(_Key, "SELECT secret FROM audit_keys ORDER BY created_at")
    found = (signing.unsealed(secrets, row.secret) for row in rows)
    return {signer.key_id: signer for signer in found if signer is not None}


def shown(change: Change) -> AuditRow:
    """A sealed row on the wire."""
    return msgspec.convert(audit_row(change), AuditRow)


def _in_chain(team_id: str | None, number: int) -> tuple[str, list[str]]:
    """A condition, and its parameter of this number. Two forms, since no index answers IS NOT DISTINCT FROM."""
    return ("team_id IS NULL", []) if team_id is None else (f"team_id = ${number}", [team_id])


def _of(chains: Chains) -> Condition:
    return where("team_id = ANY($1) OR ($2 AND team_id IS NULL)", chains.team_ids, chains.installation)


def conditions(query: AuditQuery, project_id: str | None) -> list[Condition]:
    """What the query means; `project_id`: the id of the project that it names."""
    found = [
        *by_time(query),
        *chosen("actor_id", query.actor_id),
        *chosen("type", query.action),
        *chosen("resource_type", query.resource_type),
        *chosen("resource_id", query.resource_id),
        *chosen("result", query.result),
        *chosen("actor_ip", query.ip),
    ]
    if project_id is not None:
        found.append(where("project_id = $1", project_id))
    if query.environment is not None:
        found.append(where("environment = $1", query.environment))
    return found
