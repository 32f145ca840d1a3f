"""Whose lines a request is about."""

from dataclasses import dataclass
from typing import Self

from cygnid.core.access import Permission, team_access
from cygnid.core.actors import Actor
from cygnid.core.changes import Wake
from cygnid.core.db import Read
from cygnid.core.errors import NotFound
from cygnid.core.http import Call
from cygnid.core.paging import Condition
from cygnid.resources.logs import queries
from cygnid.resources.logs.store import wake_of
from cygnid.resources.projects import queries as projects
from cygnid.resources.teams.access import teams_with


@dataclass(frozen=True, kw_only=True)
class LinesAccess:
    """Proof that the actor may read the lines for which `condition` holds."""

    actor: Actor
    condition: Condition
    wake: str
    """The wake-up of new ones."""
    team_ids: list[str]

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Of the project and environment of the query; of a deploy token's own where it names none; else of every
        project of the teams in which the caller may read logs. Raises NotFound, InsufficientScope, Forbidden."""
        actor = call.actor
        reference = call.reference("project_id") or actor.project_id
        environment = call.reference("environment") or actor.environment
        if reference is None:
            teams = await teams_with(read, actor, None, needs)
            return cls(actor=actor, condition=queries.of_teams(teams), wake=Wake.LINES, team_ids=teams)
        project = await projects.project(read, reference)
        if project is None:
            raise NotFound
        await team_access(read, actor, project.team_id, needs, project_id=project.id, environment=environment)
        return cls(
            actor=actor,
            condition=queries.of_project(project.id, environment),
            wake=wake_of(project.id),
            team_ids=[project.team_id],
        )
