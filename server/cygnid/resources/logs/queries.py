"""The tables `log_lines` and `log_streams`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

import msgspec

from cygnid.core.db import Read
from cygnid.core.paging import Condition, Listing, LogQuery, fetch, filtered, where
from cygnid.core.schemas import Page
from cygnid.resources.logs.lines import LATEST_MS, first_id, line_id, milliseconds
from cygnid.resources.logs.schemas import Level, LinesQuery, LogLine, RequestLog, Source, Stream, StreamQuery
from cygnid.resources.teams.queries import Parts, in_parts

_DEPLOYMENTS = Listing(select="SELECT id FROM deployments", sorts={})
LINES = Listing(
    select="""SELECT id, timestamp, project_id, environment, source, level, stream, message, truncated, deployment_id,
        step, process, instance_id, request_id, request FROM log_lines""",
    # ids begin with the time and none is stored after a higher one, so a cursor skips and repeats nothing
    sorts={"timestamp": "id"},
    default="-timestamp",
    counted=False,
)


class LineRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    timestamp: datetime
    project_id: str
    environment: str | None
    source: Source
    level: Level
    stream: Stream | None
    message: str
    truncated: bool
    deployment_id: str | None
    step: str | None
    process: str | None
    instance_id: str | None
    request_id: str | None
    request: str | None


class StreamRow(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    path: str
    source: Literal["build", "app", "request"]
    stream: Stream | None
    project_id: str | None
    environment: str | None
    deployment_id: str | None
    step: str | None
    process: str | None
    instance_id: str | None
    inode: int | None
    position: int
    skipping: bool
    seq: int
    closed_at: datetime | None


def of_project(project_id: str, environment: str | None) -> Condition:
    """`environment` None: of any, and of none."""
    if environment is None:
        return where("project_id = $1", project_id)
    return where("project_id = $1 AND environment = $2", project_id, environment)


def of_parts(parts: Parts) -> Condition:
    of_team = "project_id IN (SELECT projects.id FROM projects WHERE projects.team_id = ANY($1))"
    return in_parts(parts, team=of_team, project="project_id", environment="environment")


async def are_deployments(read: Read, ids: Sequence[str], within: Condition) -> bool:
    """Whether each is one for whose project and environment `within` holds."""
    sql, values = filtered(_DEPLOYMENTS, [within, where("id = ANY($1) AND removed_at IS NULL", ids)])
    return await read.value(f"SELECT count(*) FROM ({sql}) found", *values) == len(set(ids))  # noqa: S608  constant


def of_deployment(deployment_id: str) -> Condition:
    """What happened on its way, not what its instances print."""
    return where("deployment_id = $1 AND source IN ('build', 'system')", deployment_id)


def matching(asked: LinesQuery | StreamQuery) -> list[Condition]:
    """The filters that are set."""
    found: list[Condition] = []
    if asked.environment is not None:
        found.append(where("environment = $1", asked.environment))
    if asked.deployment_id:
        found.append(where("deployment_id = ANY($1)", asked.deployment_id))
    if asked.process:
        found.append(where("process = ANY($1)", asked.process))
    if asked.instance_id:
        found.append(where("instance_id = ANY($1)", asked.instance_id))
    if asked.request_id:
        found.append(where("request_id = ANY($1)", asked.request_id))
    if asked.level:
        found.append(where("level = ANY($1)", asked.level))
    if asked.source:
        found.append(where("source = ANY($1)", asked.source))
    if asked.search is not None:
        found.append(where(r"message ILIKE '%' || regexp_replace($1, '([\\%_])', '\\\1', 'g') || '%'", asked.search))
    if asked.since is not None:
        # nothing is stored before it happened; the id chooses the partitions
        found.append(where("timestamp >= $1 AND id >= $2", asked.since, first_id(milliseconds(asked.since))))
    if asked.until is not None:
        found.append(where("timestamp < $1 AND id < $2", asked.until, first_id(milliseconds(asked.until) + LATEST_MS)))
    return found


async def lines(
    read: Read,
    query: LogQuery,
    conditions: Sequence[Condition],
    *,
    sort: Literal["timestamp", "-timestamp"] = "-timestamp",
) -> Page[LogLine]:
    """One page; `sort` is for a query that names none. Raises as `paging.fetch`."""
    page = await fetch(read, LineRow, replace(LINES, default=sort), query, conditions)
    return Page(items=[shown(row) for row in page.items], pagination=page.pagination)


async def lines_between(
    read: Read, conditions: Sequence[Condition], first: str, end: str, limit: int
) -> Sequence[LogLine]:
    """The oldest lines from id `first` to before id `end`."""
    sql, values = filtered(LINES, [*conditions, where("id >= $1 AND id < $2", first, end)])
    rows = await read.all(LineRow, f"{sql} ORDER BY id LIMIT {limit}", *values)
    return [shown(row) for row in rows]


async def oldest(read: Read, conditions: Sequence[Condition]) -> LogLine | None:
    found = await lines_between(read, conditions, line_id(0, 0, 0), line_id(2**48 - 1, 0, 0), 1)
    return found[0] if found else None


async def head(read: Read) -> str:
    """All lines stored so far have lower ids, all that come have not."""
    return line_id(int(await read.value("SELECT ms FROM log_head")) + 1, 0, 0)


async def is_read(read: Read, deployment_id: str) -> bool:
    """Whether every closed stream of the deployment is read to its end."""
    return not await read.value(
        "SELECT EXISTS (SELECT FROM log_streams WHERE deployment_id = $1 AND closed_at IS NOT NULL)", deployment_id
    )


async def streams(read: Read) -> list[StreamRow]:
    """Every file that is not read to its end for good."""
    return await read.all(
        StreamRow,
        """SELECT number, path, source, stream, project_id, environment, deployment_id, step, process, instance_id,
               inode, position, skipping, seq, closed_at
           FROM log_streams ORDER BY number""",
    )


def shown(row: LineRow) -> LogLine:
    fields: dict[str, Any] = msgspec.structs.asdict(row)
    if row.request is not None:
        fields["request"] = msgspec.json.decode(row.request, type=RequestLog)
    return LogLine(**fields)
