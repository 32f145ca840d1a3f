"""What is to be done about an instance: pure, from what is wanted and what the machine says."""

from datetime import datetime, timedelta
from enum import Enum, auto

from cygnid.resources.instances.queries import InstanceRow
from cygnid.runtime.base import Observed

DRAIN = timedelta(seconds=30)
"""How long a retired instance may finish what it was asked, before SIGTERM."""


class Do(Enum):
    START = auto()
    NOTE_START = auto()
    """It runs, and where is not stored: whoever started it did not live to say so."""
    NOTE_END = auto()
    NOTE_LOSS = auto()
    """Nobody can tell how it ended: the machine was started again."""
    START_AGAIN = auto()
    STOP = auto()
    FORGET = auto()


def decide(row: InstanceRow, seen: Observed | None, now: datetime) -> Do | datetime | None:
    """A time: nothing until then. `seen` None: the machine knows nothing of it."""
    if not row.wanted:
        return _leave(row, seen, now)
    match row.status:
        case "stopping":  # its project was paused and resumed before it had stopped
            return Do.STOP if seen and seen.running else Do.FORGET
        case "stopped":
            return Do.START_AGAIN
        case "crashed":
            if row.on_trial or row.retry_at is None:
                return None
            return Do.START_AGAIN if row.retry_at <= now else row.retry_at
        case "starting" | "running" | "unhealthy":
            return _keep(row, seen)


def _keep(row: InstanceRow, seen: Observed | None) -> Do | None:
    if seen is None:
        return Do.START if row.started_at is None else Do.NOTE_LOSS
    if seen.exit is not None:
        return Do.NOTE_LOSS if seen.exit.code is None and seen.exit.signal is None else Do.NOTE_END
    if row.started_at is None:
        return Do.NOTE_START
    return Do.STOP if row.ailing else None


def _leave(row: InstanceRow, seen: Observed | None, now: datetime) -> Do | datetime | None:
    if seen is None or not seen.running:
        return None if row.status == "stopped" and row.retired_at is None and seen is None else Do.FORGET
    if row.retired_at is not None and row.drain and row.host and row.left_routes_at is None:
        # the edge still sends visitors here; should it not answer, they are cut off some time
        deadline = row.retired_at + DRAIN
        return Do.STOP if deadline <= now else deadline
    return Do.STOP
