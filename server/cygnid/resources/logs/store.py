"""How lines are stored: in the order of their ids, together with how far their files are read; and by the day."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from cygnid.core import changes, clock
from cygnid.core.changes import Wake
from cygnid.core.db import Tx
from cygnid.resources.logs.batch import Line, Taken
from cygnid.resources.logs.lines import LATEST_MS, NO_MASK, first_id, line_id, message, milliseconds
from cygnid.resources.logs.schemas import Level
from cygnid.resources.logs.volume import within

NOTES = 1000
"""Of the platform's own lines, at most so many a batch."""
_DAYS_AHEAD = 3
_DAY = timedelta(days=1)
_COLUMNS = (
    "id", "timestamp", "project_id", "environment", "source", "level", "stream", "message", "truncated",
    "deployment_id", "step", "process", "instance_id", "request_id", "request",
)  # fmt: skip


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    project_id: str
    environment: str | None
    level: Level
    message: str
    deployment_id: str | None
    process: str | None
    instance_id: str | None
    created_at: datetime


async def store(tx: Tx, taken: Sequence[Taken]) -> tuple[set[int], int]:
    """Store a batch: the streams whose position is still the one that they were read from, and what waits in
    `log_notes`, as far as the plan of each team allows. Returns the numbers of those streams, and how many notes there
    were.

    The lock on `log_head` is held until the commit, so batches become visible in the order of their ids.
    """
    now = milliseconds(clock.now())
    ms = int(await tx.value("UPDATE log_head SET ms = greatest(ms + 1, $1) RETURNING ms", now))
    moved = await _move(tx, taken)
    notes = await _notes(tx)
    rows = [_columns(line, ms, 0, number) for number, line in enumerate(notes)]
    numbered = [
        (item.row.number, seq, line)
        for item in taken
        if item.row.number in moved
        for seq, line in enumerate([*item.lines, *item.notes], item.row.seq + 1)
    ]
    if numbered:
        kept, told = await within(tx, [line for _, _, line in numbered])
        rows += [_columns(line, ms, 0, number) for number, line in enumerate(told, len(notes))]
        rows += [_columns(line, ms, stream, seq) for place, (stream, seq, line) in enumerate(numbered) if place in kept]
    if rows:
        await tx.copy("log_lines", _COLUMNS, rows)
        await changes.wake(tx, Wake.LINES)
        for project_id in {row[2] for row in rows}:
            await changes.wake(tx, wake_of(project_id))
    return moved, len(notes)


def wake_of(project_id: str) -> str:
    """The wake-up of those who follow one project."""
    return f"{Wake.LINES}.{project_id}"


async def _move(tx: Tx, taken: Sequence[Taken]) -> set[int]:
    moved = await tx.all(
        _Number,
        """UPDATE log_streams
           SET inode = new.inode, position = new.position, skipping = new.skipping, seq = log_streams.seq + new.lines
           FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[],
                       $7::bigint[])
                AS new (number, old_inode, old_position, inode, position, skipping, lines)
           WHERE log_streams.number = new.number AND log_streams.position = new.old_position
             AND log_streams.inode IS NOT DISTINCT FROM new.old_inode
           RETURNING log_streams.number""",
        [item.row.number for item in taken],
        [item.row.inode for item in taken],
        [item.row.position for item in taken],
        [item.inode for item in taken],
        [item.position for item in taken],
        [item.skipping for item in taken],
        [len(item.lines) + len(item.notes) for item in taken],
    )
    return {row.number for row in moved}


class _Number(msgspec.Struct, frozen=True):
    number: int


async def _notes(tx: Tx) -> list[Line]:
    rows = await tx.all(
        _Note,
        """DELETE FROM log_notes WHERE number IN (SELECT number FROM log_notes ORDER BY number LIMIT $1)
           RETURNING number, project_id, environment, level, message, deployment_id, process, instance_id,
               created_at""",
        NOTES,
    )
    made: list[Line] = []
    for row in sorted(rows, key=lambda row: row.number):
        text, truncated = message(row.message.encode(), NO_MASK)
        made.append(
            Line(
                at_ms=milliseconds(row.created_at),
                project_id=row.project_id,
                environment=row.environment,
                source="system",
                level=row.level,
                stream=None,
                message=text,
                truncated=truncated,
                deployment_id=row.deployment_id,
                process=row.process,
                instance_id=row.instance_id,
            )
        )
    return made


def _columns(line: Line, ms: int, stream: int, seq: int) -> tuple[Any, ...]:
    at = ms if line.at_ms is None else min(max(line.at_ms, ms - LATEST_MS), ms)
    return (
        line_id(ms, stream, seq),
        _moment(at),
        line.project_id,
        line.environment,
        line.source,
        line.level,
        line.stream,
        line.message,
        line.truncated,
        line.deployment_id,
        line.step,
        line.process,
        line.instance_id,
        line.request_id,
        line.request,
    )


def _moment(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


async def make_days(tx: Tx) -> int:
    """Partitions for today and the days to come; returns the milliseconds up to which lines have a place."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('log_lines'))")
    now = max(milliseconds(clock.now()), int(await tx.value("SELECT ms FROM log_head")))
    today = _moment(now).replace(hour=0, minute=0, second=0, microsecond=0)
    there = await days(tx)
    for day in (today + number * _DAY for number in range(_DAYS_AHEAD)):
        if day not in there:
            first, end = first_id(milliseconds(day)), first_id(milliseconds(day + _DAY))
            await tx.execute(
                f"CREATE TABLE {_table(day)} PARTITION OF log_lines FOR VALUES FROM ('{first}') TO ('{end}')"
            )
    return milliseconds(today + _DAYS_AHEAD * _DAY)


async def drop_days(tx: Tx, *, keep: int) -> list[datetime]:
    """Drop the days before the last `keep` ones; returns which. Waits five seconds for readers at most."""
    await tx.execute("SET LOCAL lock_timeout = '5s'")
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('log_lines'))")
    old = [day for day in await days(tx) if day + (keep + 1) * _DAY <= clock.now()]
    for day in old:
        await tx.execute(f"DROP TABLE {_table(day)}")
    return old


async def days(tx: Tx) -> list[datetime]:
    """The days that have a partition."""
    names = await tx.all(
        _Name,
        """SELECT relname AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
           WHERE inhparent = 'log_lines'::regclass ORDER BY relname""",
    )
    return [datetime.strptime(row.name, "log_lines_%Y%m%d").replace(tzinfo=UTC) for row in names]


class _Name(msgspec.Struct, frozen=True):
    name: str


def _table(day: datetime) -> str:
    return f"log_lines_{day:%Y%m%d}"
