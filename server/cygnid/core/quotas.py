"""Quotas: what a team's plan lets it have. Each noun counts its own rows; what is no row is counted here.

Where a plan has a limit, those who would take from it go one after the other, by the quota and the team, from the
count to the commit: twenty at once get what is left and not one more. A plan without a limit makes nobody wait.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cygnid.core import changes, clock
from cygnid.core.actors import Actor
from cygnid.core.db import Read, Tx
from cygnid.core.errors import QuotaExceeded
from cygnid.core.plans import PERIODS, PLANS, QuotaName

EVENT = "quota.exceeded"
_WHAT: Mapping[QuotaName, str] = {
    "projects": "projects",
    "deploymentsPerDay": "deployments a day",
    "buildMinutes": "minutes of builds a month",
    "logBytes": "bytes of logs a day",
}
Count = Callable[[Read, str], Awaitable[int]]
"""How much of it this team has."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The period that counts now; `ends_at` None: what there is counts, whenever it came."""

    starts_at: datetime
    ends_at: datetime | None


def window(name: QuotaName, now: datetime) -> Window:
    """What has no period is told of once a day."""
    now = now.astimezone(UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    match PERIODS.get(name):
        case None:
            return Window(starts_at=day, ends_at=None)
        case "day":
            return Window(starts_at=day, ends_at=datetime.fromtimestamp(day.timestamp() + 86_400, UTC))
        case "month":
            first = day.replace(day=1)
            later = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
            return Window(starts_at=first, ends_at=later)


async def limit(read: Read, team_id: str, name: QuotaName) -> int | None:
    """None: as much as they like."""
    plan: str = await read.value("SELECT plan FROM teams WHERE id = $1", team_id)
    return PLANS[plan].quotas.get(name)


async def lock(tx: Tx, team_id: str, name: QuotaName) -> int | None:
    """The limit; where there is one, nobody else takes from it until this transaction ends. Before an environment
    is locked."""
    most = await limit(tx, team_id, name)
    if most is not None:
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"quota {name} {team_id}")
    return most


async def require(tx: Tx, team_id: str, name: QuotaName, count: Count) -> None:
    """That there is room for one more, which the caller takes in this transaction. Raises QuotaExceeded."""
    most = await lock(tx, team_id, name)
    if most is not None and (used := await count(tx, team_id)) >= most:
        raise exceeded(team_id, name, most, used)


def exceeded(team_id: str, name: QuotaName, most: int, used: int) -> QuotaExceeded:
    """The error, which is not raised here."""
    ends_at = window(name, clock.now()).ends_at
    until = "Delete what is not needed" if ends_at is None else f"Wait until {clock.text(ends_at)}"
    error = QuotaExceeded(
        f"The team's plan has {most} {_WHAT[name]}, and they are used up.",
        hint=f"{until}, or ask an owner of the team for a larger plan; GET /v1/billing/quotas shows all.",
        details={"quota": name, "limit": most, "used": used, "resetsAt": ends_at and clock.text(ends_at)},
    )
    error.team_id = team_id
    return error


async def used(read: Read, team_id: str, name: QuotaName) -> int:
    """What was added in the period of now."""
    starts_at = window(name, clock.now()).starts_at
    return await read.value(
        """SELECT coalesce(sum(used), 0)::bigint FROM quota_uses
           WHERE team_id = $1 AND name = $2 AND starts_at = $3""",
        team_id,
        name,
        starts_at,
    )


async def add(tx: Tx, team_id: str, name: QuotaName, amount: int) -> None:
    """So much more was used, whatever the limit."""
    await tx.execute(
        """INSERT INTO quota_uses (team_id, name, starts_at, used) VALUES ($1, $2, $3, $4)
           ON CONFLICT (team_id, name, starts_at) DO UPDATE SET used = quota_uses.used + excluded.used""",
        team_id,
        name,
        window(name, clock.now()).starts_at,
        amount,
    )


async def tell(tx: Tx, actor: Actor, error: QuotaExceeded, *, request_id: str | None = None) -> bool:
    """Record that it was reached, once in each period: whether this was the first time. Not in a transaction that is
    refused."""
    assert error.team_id is not None
    name: QuotaName = error.details["quota"]
    first = await tx.execute(
        """INSERT INTO quota_uses (team_id, name, starts_at, exceeded_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (team_id, name, starts_at) DO UPDATE SET exceeded_at = excluded.exceeded_at
           WHERE quota_uses.exceeded_at IS NULL""",
        error.team_id,
        name,
        window(name, clock.now()).starts_at,
        clock.now(),
    )
    if first:
        about = changes.Subject(type="quota", id=None, name=name, team_id=error.team_id)
        await changes.record(tx, actor, EVENT, about, data=error.details, reason=error.message, request_id=request_id)
    return bool(first)
