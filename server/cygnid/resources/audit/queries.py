"""The tables `changes` and `change_chains`, as an auditor reads them."""

from collections.abc import Sequence

import msgspec

from cygnid.core.db import Read
from cygnid.core.filters import by_time, chosen
from cygnid.core.paging import Condition, Listing, fetch, where
from cygnid.core.schemas import Page
from cygnid.core.sealer import COLUMNS, FIRST_HASH, Change, audit_row
from cygnid.resources.audit.schemas import AuditQuery, AuditRow

_ROWS = Listing(
    select="""SELECT number, id, type, team_id, project_id, environment, created_at, result, actor_type, actor_id,
        actor_name, actor_token_id, actor_ip, resource_type, resource_id, resource_name, before, after, data, reason,
        request_id, position, seq, prev_hash, hash FROM changes""",
    sorts={"createdAt": "created_at"},
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


async def rows(read: Read, chains: Chains, query: AuditQuery, project_id: str | None) -> Page[AuditRow]:
    """One page of sealed rows; `project_id`: the id of the project that the query names. Raises as `paging.fetch`."""
    page = await fetch(read, Change, _ROWS, query, [_SEALED, _of(chains), *_matching(query, project_id)])
    return Page(items=[shown(row) for row in page.items], pagination=page.pagination)


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
    found = await read.one(Head, "SELECT seq, hash FROM change_chains WHERE team_id IS NOT DISTINCT FROM $1", team_id)
    return found or Head(seq=0, hash=FIRST_HASH)


async def part(read: Read, team_id: str | None, first: int, last: int, limit: int) -> Sequence[Change]:
    """Rows of a chain from `first` to `last`, in its order, at most `limit`."""
    return await read.all(
        Change,
        f"""SELECT {COLUMNS} FROM changes
            WHERE team_id IS NOT DISTINCT FROM $1 AND seq BETWEEN $2 AND $3 ORDER BY seq LIMIT $4""",  # noqa: S608
        team_id,
        first,
        last,
        limit,
    )


def shown(change: Change) -> AuditRow:
    """A sealed row on the wire."""
    return msgspec.convert(audit_row(change), AuditRow)


def _of(chains: Chains) -> Condition:
    return where("team_id = ANY($1) OR ($2 AND team_id IS NULL)", chains.team_ids, chains.installation)


def _matching(query: AuditQuery, project_id: str | None) -> list[Condition]:
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
