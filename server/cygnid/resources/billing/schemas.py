"""What is said of plans and quotas."""

from cygnid.core.paging import PageQuery
from cygnid.core.plans import PlanName, QuotaName
from cygnid.core.schemas import Out, Timestamp


class PlanRate(Out, frozen=True, kw_only=True):
    window: str
    window_seconds: int
    limit: int | None
    """null: unlimited."""


class PlanLimit(Out, frozen=True, kw_only=True):
    name: QuotaName
    limit: int | None
    """null: unlimited."""


class Plan(Out, frozen=True, kw_only=True):
    name: PlanName
    rate_limits: list[PlanRate]
    limits: list[PlanLimit]


class Quota(Out, frozen=True, kw_only=True):
    name: QuotaName
    used: int
    limit: int | None
    """null: unlimited."""
    resets_at: Timestamp | None
    """null: not per period."""


class QuotasQuery(PageQuery, frozen=True, kw_only=True):
    team_id: str | None = None
    """Needed by those who are in several teams."""
