"""Plans: what `teams.plan` stands for, in requests and in quotas."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

PlanName = Literal["free", "pro", "enterprise"]
QuotaName = Literal["projects", "deploymentsPerDay", "buildMinutes", "logBytes"]
QUOTAS: tuple[QuotaName, ...] = get_args(QuotaName)
Period = Literal["day", "month"]
PERIODS: Mapping[QuotaName, Period] = {"deploymentsPerDay": "day", "buildMinutes": "month", "logBytes": "day"}
"""When a quota begins anew, in UTC; one that is not here counts what there is."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    per_minute: int | None
    per_hour: int | None
    """None: unlimited, no rate headers; only the abuse ceiling holds."""
    quotas: Mapping[QuotaName, int] = field(default_factory=dict[QuotaName, int])
    """What is not named is unlimited."""


PLANS: dict[str, Plan] = {
    "free": Plan(
        per_minute=100,
        per_hour=1_000,
        quotas={"projects": 5, "deploymentsPerDay": 50, "buildMinutes": 300, "logBytes": 256 << 20},
    ),
    "pro": Plan(
        per_minute=1_000,
        per_hour=10_000,
        quotas={"projects": 200, "deploymentsPerDay": 2_000, "buildMinutes": 6_000, "logBytes": 16 << 30},
    ),
    "enterprise": Plan(per_minute=None, per_hour=None),
}
RANK = ("free", "pro", "enterprise")


def best(plans: list[str]) -> str:
    """The highest of several teams' plans; free for none."""
    return max(plans, key=RANK.index, default="free")
