"""What the workers say, and what is made of it."""

import msgspec

from cygnid.core.db import Read

SILENT_SECONDS = 20
"""A worker that has said nothing for so long is gone, or stopped."""
_OVERDUE_SECONDS = 120


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    build: str
    is_leader: bool
    edge: str
    overdue_seconds: float
    silent_seconds: float


async def workers(read: Read) -> list[WorkerRow]:
    """Those that were heard lately, the last one first."""
    return await read.all(
        WorkerRow,
        """SELECT id, build, is_leader, edge, overdue_seconds,
                  extract(epoch FROM clock_timestamp() - seen_at)::float8 AS silent_seconds
           FROM workers WHERE seen_at > clock_timestamp() - make_interval(secs => $1) ORDER BY seen_at DESC""",
        SILENT_SECONDS,
    )


async def capabilities(read: Read) -> bytes | None:
    """What the last worker that started can do, as JSON; None: none has started yet."""
    text = await read.value("SELECT value FROM installation WHERE name = 'capabilities'")
    return None if text is None else str(text).encode()


def keeps_up(heard: list[WorkerRow]) -> bool:
    """One leads, and nothing that is due has waited for long."""
    return any(worker.is_leader for worker in heard) and heard[0].overdue_seconds < _OVERDUE_SECONDS


def has_edge(heard: list[WorkerRow]) -> bool:
    return bool(heard) and heard[0].edge == "running"
