"""What can happen to teams."""

from cygnid.core import changes, clock
from cygnid.core.actors import Actor
from cygnid.core.db import Tx
from cygnid.core.ids import new_id
from cygnid.core.plans import PlanName
from cygnid.resources.teams import queries
from cygnid.resources.teams.queries import TeamRow
from cygnid.resources.teams.schemas import SlugTaken, TeamEvent


async def create_team(tx: Tx, actor: Actor, *, name: str, slug: str, plan: PlanName) -> TeamRow:
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
    )
    row = await queries.team(tx, team_id)
    assert row is not None
    return row
