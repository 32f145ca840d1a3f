"""Routes of plans and quotas."""

from cygnid.core.db import Read
from cygnid.core.errors import NotFound
from cygnid.core.http import operation
from cygnid.core.paging import PageQuery, whole
from cygnid.core.schemas import Page
from cygnid.resources.billing import queries
from cygnid.resources.billing.access import MemberTeam
from cygnid.resources.billing.schemas import Plan, Quota, QuotasQuery


@operation("GET", "/v1/billing/plans", id="billing.plans", needs="public")
async def list_plans(query: PageQuery) -> Page[Plan]:
    """List the plans that a team may have: how many requests, and how much of everything else."""
    return whole(queries.plans(), query)


@operation("GET", "/v1/billing/quotas", id="billing.quotas", needs="any", errors=[NotFound])
async def list_quotas(read: Read, team: MemberTeam, query: QuotasQuery) -> Page[Quota]:
    """List what a team has used of what its plan has; every member may ask."""
    return whole(await queries.team_quotas(read, team.team_id), query)
