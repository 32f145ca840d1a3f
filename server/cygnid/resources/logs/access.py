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
from cygnid.resources.teams.access import parts_with
from cygnid.resources.teams.queries import Parts


@dataclass(frozen=True, kw_only=True)
class LinesAccess:
    """Proof that the actor may read the lines for which `condition` holds."""

    actor: Actor
    condition: Condition
    wake: str
    """The wake-up of new ones."""
    parts: Parts | None
    """What they are lines of, where neither project nor environment is named."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Of the project and environment of the query; of a deploy token's own where it names none; else of all
        in which the caller may read logs. Raises NotFound, also for a deployment that is not among them,
        InsufficientScope, Forbidden."""
        found = await cls._in(read, call, needs)
        deployments = getattr(call.query, "deployment_id", None)
        if deployments and not await queries.are_deployments(read, deployments, found.condition):
            raise NotFound
        return found

    @classmethod
    async def _in(cls, read: Read, call: Call, needs: Permission) -> Self:
        actor = call.actor
        reference = call.reference("project_id") or actor.project_id
        environment = call.reference("environment") or actor.environment
        if reference is None:
            parts = await parts_with(read, actor, None, needs)
            return cls(actor=actor, condition=queries.of_parts(parts), wake=Wake.LINES, parts=parts)
        project = await projects.project(read, reference)
        if project is None:
            raise NotFound
        await team_access(read, actor, project.team_id, needs, project_id=project.id, environment=environment)
        return cls(
            actor=actor,
            condition=queries.of_project(project.id, environment),
            wake=wake_of(project.id),
            parts=None,
        )
