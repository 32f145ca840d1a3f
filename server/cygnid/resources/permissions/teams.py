"""What can happen to a whole team: made with its owner, deleted with its projects, restored, purged."""

from datetime import datetime

import msgspec

from cygnid.core import changes, clock, etag
from cygnid.core.access import TeamAccess
from cygnid.core.db import Read, Tx
from cygnid.core.errors import NotFound
from cygnid.core.plans import PlanName
from cygnid.resources.permissions.actions import add_owner
from cygnid.resources.permissions.team_access import NewTeamAccess
from cygnid.resources.projects.actions import RESTORABLE, require_time
from cygnid.resources.projects.schemas import ProjectEvent
from cygnid.resources.teams import actions, queries
from cygnid.resources.teams.queries import TeamRow
from cygnid.resources.teams.schemas import TeamEvent, TeamInput


class _Project(msgspec.Struct, frozen=True):
    id: str
    name: str


class _Id(msgspec.Struct, frozen=True):
    id: str


async def create(
    tx: Tx, access: NewTeamAccess, new: TeamInput, plan: PlanName, *, request_id: str | None = None
) -> str:
    """The id of the team, whose owner made it. Raises SlugTaken."""
    team = await actions.create_team(tx, access.actor, name=new.name, slug=new.slug, plan=plan, request_id=request_id)
    await add_owner(tx, access.actor, team_id=team.id, user_id=access.user_id, request_id=request_id)
    return team.id


async def delete(tx: Tx, access: TeamAccess, *, if_match: int | None = None, request_id: str | None = None) -> None:
    """Nobody acts in it from now on, and its projects are deleted with it; until purgeAt all can be restored. Again is
    the same. Raises PreconditionFailed."""
    row = await _matched(tx, access, if_match)
    if row.deleted_at is not None:
        return
    now = clock.now()
    purge_at = now + RESTORABLE
    await tx.execute(
        "UPDATE teams SET deleted_at = $2, purge_at = $3, updated_at = $2 WHERE id = $1", row.id, now, purge_at
    )
    await changes.record(tx, access.actor, TeamEvent.DELETED, actions.subject(row), request_id=request_id)
    projects = await tx.all(
        _Project,
        """UPDATE projects SET deleted_at = $2, purge_at = $3, updated_at = $2
           WHERE team_id = $1 AND deleted_at IS NULL RETURNING id, name""",
        row.id,
        now,
        purge_at,
    )
    await _record(tx, access, ProjectEvent.DELETED, projects, request_id)


async def restore(tx: Tx, access: TeamAccess, *, request_id: str | None = None) -> None:
    """With the projects that were deleted with it. Raises Gone when its time is over."""
    row = await _matched(tx, access, None)
    if row.purge_at is None:
        return
    require_time(row.purge_at)
    now = clock.now()
    await tx.execute("UPDATE teams SET deleted_at = NULL, purge_at = NULL, updated_at = $2 WHERE id = $1", row.id, now)
    await changes.record(tx, access.actor, TeamEvent.RESTORED, actions.subject(row), request_id=request_id)
    projects = await tx.all(
        _Project,
        """UPDATE projects SET deleted_at = NULL, purge_at = NULL, updated_at = $2
           WHERE team_id = $1 AND deleted_at = $3 RETURNING id, name""",
        row.id,
        now,
        row.deleted_at,
    )
    await _record(tx, access, ProjectEvent.RESTORED, projects, request_id)


async def purgeable(read: Read, before: datetime) -> list[str]:
    """Those whose time to be restored ended before this, and whose projects are purged."""
    rows = await read.all(
        _Id,
        """SELECT id FROM teams WHERE purge_at <= $1
               AND NOT EXISTS (SELECT FROM projects WHERE projects.team_id = teams.id) ORDER BY purge_at, id""",
        before,
    )
    return [row.id for row in rows]


async def purge(tx: Tx, team_id: str) -> None:
    """Forget the team with all that is its own; its audit log stays."""
    await tx.execute("DELETE FROM teams WHERE id = $1", team_id)


async def _matched(tx: Tx, access: TeamAccess, if_match: int | None) -> TeamRow:
    row = await queries.team_for_change(tx, access.team_id)
    if row is None:
        raise NotFound
    etag.require(if_match, row.version, queries.shown(await queries.view(tx, row.id)))
    return row


async def _record(
    tx: Tx, access: TeamAccess, event: ProjectEvent, projects: list[_Project], request_id: str | None
) -> None:
    for project in projects:
        subject = changes.Subject(
            type="project", id=project.id, name=project.name, team_id=access.team_id, project_id=project.id
        )
        await changes.record(tx, access.actor, event, subject, data={"withTeam": True}, request_id=request_id)
