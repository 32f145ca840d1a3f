"""What can happen to teams."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from msgspec import UNSET

from cygnid.core import changes, clock, etag
from cygnid.core.access import TeamAccess
from cygnid.core.actors import Actor
from cygnid.core.db import Tx
from cygnid.core.errors import NotFound, ValidationError
from cygnid.core.ids import new_id
from cygnid.core.plans import PlanName
from cygnid.resources.teams import queries
from cygnid.resources.teams.queries import TeamRow
from cygnid.resources.teams.schemas import SlugTaken, TeamEvent, TeamPatch


async def create_team(
    tx: Tx, actor: Actor, *, name: str, slug: str, plan: PlanName, request_id: str | None = None
) -> TeamRow:
    """A team without members: whoever calls this adds its owner in the same transaction. Raises SlugTaken."""
    team_id, now = new_id("team"), clock.now()
    async with tx.unique(teams_slug_taken=SlugTaken(details={"slug": slug})):
        await tx.execute(
            """INSERT INTO teams (id, name, slug, plan, created_at, updated_at, created_by)
               VALUES ($1, $2, $3, $4, $5, $5, $6)""",
            team_id,
            name,
            slug,
            plan,
            now,
            actor.created_by,
        )
    await changes.record(
        tx,
        actor,
        TeamEvent.CREATED,
        changes.Subject(type="team", id=team_id, name=name, team_id=team_id),
        after={"name": name, "slug": slug, "plan": plan},
        request_id=request_id,
    )
    row = await queries.team(tx, team_id)
    assert row is not None
    return row


async def update_team(
    tx: Tx, access: TeamAccess, patch: TeamPatch, *, if_match: int | None = None, request_id: str | None = None
) -> None:
    """Merge the patch in; one that changes nothing leaves no trace. Raises ValidationError, also for addresses that
    would shut the caller out, and PreconditionFailed."""
    row = await queries.team_for_change(tx, access.team_id)
    if row is None:
        raise NotFound
    etag.require(if_match, row.version, queries.shown(await queries.view(tx, row.id)))
    was = {
        "name": row.name,
        "allowedEmailDomains": row.allowed_email_domains,
        "maxTokenAgeDays": row.max_token_age_days,
        "allowedIps": row.allowed_ips,
    }
    now_is = {
        "name": row.name if patch.name is UNSET else patch.name,
        "allowedEmailDomains": (
            row.allowed_email_domains if patch.allowed_email_domains is UNSET else patch.allowed_email_domains or []
        ),
        "maxTokenAgeDays": row.max_token_age_days if patch.max_token_age_days is UNSET else patch.max_token_age_days,
        "allowedIps": row.allowed_ips if patch.allowed_ips is UNSET else patch.allowed_ips or [],
    }
    changed = [key for key in was if was[key] != now_is[key]]
    if not changed:
        return
    if "allowedIps" in changed and patch.allowed_ips:
        _check_networks(patch.allowed_ips, access.actor.address)
    await tx.execute(
        """UPDATE teams SET name = $2, allowed_email_domains = $3, max_token_age_days = $4, allowed_ips = $5,
               updated_at = $6, version = version + 1
           WHERE id = $1""",
        row.id,
        *now_is.values(),
        clock.now(),
    )
    await changes.record(
        tx,
        access.actor,
        TeamEvent.UPDATED,
        subject(row),
        before={key: was[key] for key in changed},
        after={key: now_is[key] for key in changed},
        request_id=request_id,
    )


def subject(row: TeamRow) -> changes.Subject:
    return changes.Subject(type="team", id=row.id, name=row.name, team_id=row.id)


def _check_networks(networks: Sequence[str], address: str | None) -> None:
    found: list[IPv4Network | IPv6Network] = []
    for index, network in enumerate(networks):
        try:
            found.append(ip_network(network))
        except ValueError as wrong:
            raise ValidationError.one(f"allowedIps[{index}]", str(wrong)) from wrong
    if address is not None and not any(ip_address(address) in network for network in found):
        reason = f"Your own address, {address}, is not among them: you could not undo this."
        raise ValidationError.one("allowedIps", reason, code="not_allowed")
