"""What plans have, and what teams have used of theirs."""

from collections.abc import Mapping
from typing import get_args

from cygnid.core import clock, quotas
from cygnid.core.db import Read
from cygnid.core.plans import PLANS, QUOTAS, PlanName, QuotaName
from cygnid.core.quotas import Count
from cygnid.core.ratelimit import WINDOWS
from cygnid.resources.billing.schemas import Plan, PlanLimit, PlanRate, Quota
from cygnid.resources.deployments import queue
from cygnid.resources.projects import queries as projects


async def _log_bytes(read: Read, team_id: str) -> int:
    return await quotas.used(read, team_id, "logBytes")


_COUNTS: Mapping[QuotaName, Count] = {
    "projects": projects.count,
    "deploymentsPerDay": queue.made_today,
    "buildMinutes": queue.build_minutes,
    "logBytes": _log_bytes,
}


def plans() -> list[Plan]:
    """The smallest first."""
    return [
        Plan(
            name=name,
            rate_limits=[
                PlanRate(window=window, window_seconds=seconds, limit=limit)
                for (window, seconds), limit in zip(
                    WINDOWS.items(), (PLANS[name].per_minute, PLANS[name].per_hour), strict=True
                )
            ],
            limits=[PlanLimit(name=quota, limit=PLANS[name].quotas.get(quota)) for quota in QUOTAS],
        )
        for name in get_args(PlanName)
    ]


async def team_quotas(read: Read, team_id: str) -> list[Quota]:
    now = clock.now()
    return [
        Quota(
            name=name,
            used=await _COUNTS[name](read, team_id),
            limit=await quotas.limit(read, team_id, name),
            resets_at=quotas.window(name, now).ends_at,
        )
        for name in QUOTAS
    ]
