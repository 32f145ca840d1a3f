"""Plans: what `teams.plan` stands for."""

from dataclasses import dataclass
from typing import Literal

PlanName = Literal["free", "pro", "enterprise"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    per_minute: int | None
    per_hour: int | None
    """None: unlimited, no rate headers; only the abuse ceiling holds."""


PLANS: dict[str, Plan] = {
    "free": Plan(per_minute=100, per_hour=1_000),
    "pro": Plan(per_minute=1_000, per_hour=10_000),
    "enterprise": Plan(per_minute=None, per_hour=None),
}
RANK = ("free", "pro", "enterprise")


def best(plans: list[str]) -> str:
    """The highest of several teams' plans; free for none."""
    return max(plans, key=RANK.index, default="free")
