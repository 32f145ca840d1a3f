"""The audit log as a file: lines of JSON, or a table for a spreadsheet."""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

from cygnid.core.db import Pool, read
from cygnid.core.http import Download
from cygnid.core.paging import Condition
from cygnid.core.schemas import ENCODER
from cygnid.core.sealer import Change, audit_row
from cygnid.resources.audit import queries
from cygnid.resources.audit.queries import ChainHead
from cygnid.resources.audit.schemas import ExportFormat

MEDIA = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_BATCH = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""
_COLUMNS = (
    "id", "seq", "teamId", "projectId", "environment", "createdAt", "action", "result",
    "actorType", "actorId", "actorName", "actorTokenId", "actorIp", "resourceType", "resourceId", "resourceName",
    "before", "after", "reason", "requestId", "prevHash", "hash",
)  # fmt: skip


def download(pool: Pool, heads: Sequence[ChainHead], conditions: Sequence[Condition], form: ExportFormat) -> Download:
    """The rows of these chains up to their heads that the conditions mean, chain by chain in the order of each."""
    write = _jsonl if form == "jsonl" else _csv
    pieces = partial(_pieces, pool, heads, conditions, write)
    return Download(pieces=pieces, media=MEDIA[form], filename=f"audit-log.{form}")


async def _pieces(
    pool: Pool,
    heads: Sequence[ChainHead],
    conditions: Sequence[Condition],
    write: Callable[[Sequence[Change]], bytes],
) -> AsyncGenerator[bytes]:
    """A batch at a time, each found by the seq of the last row: no transaction or connection is held for the reader."""
    if write is _csv:
        yield _line(_COLUMNS).encode()
    for head in heads:
        after = 0
        while True:
            async with read(pool) as reader:
                rows = await queries.matching(reader, head, after, conditions, _BATCH)
            if rows:
                yield await asyncio.to_thread(write, rows)
            if len(rows) < _BATCH:
                break
            after = rows[-1].seq or 0


def _jsonl(rows: Sequence[Change]) -> bytes:
    """Each row as the API shows it, so that its hash can be computed from the line."""
    return b"".join(ENCODER.encode(audit_row(row)) + b"\n" for row in rows)


def _csv(rows: Sequence[Change]) -> bytes:
    return "".join(_line(_cells(audit_row(row))) for row in rows).encode()


def _cells(row: dict[str, Any]) -> Iterator[str]:
    actor, resource = row.pop("actor"), row.pop("resource")
    row |= {f"actor{name[0].upper()}{name[1:]}": value for name, value in actor.items()}
    row |= {f"resource{name[0].upper()}{name[1:]}": value for name, value in resource.items()}
    for name in _COLUMNS:
        value = row[name]
        text = ENCODER.encode(value).decode() if isinstance(value, dict) else "" if value is None else str(value)
        yield f"'{text}" if text.startswith(_FORMULA) else text


def _line(cells: Sequence[str] | Iterator[str]) -> str:
    """By RFC 4180."""
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
