"""Which deployment a request is about."""

from dataclasses import dataclass
from typing import Self

from cygnid.core.access import Permission, team_access
from cygnid.core.db import Read
from cygnid.core.errors import NotFound
from cygnid.core.http import Call
from cygnid.core.paging import Condition
from cygnid.resources.deployments import queries
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.access import EnvironmentAccess, environment_access
from cygnid.resources.teams.access import parts_with


@dataclass(frozen=True, kw_only=True)
class DeploymentsAccess:
    """Proof that the actor may see the deployments for which `condition` holds."""

    condition: Condition

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Of the project and environment of the query; of a deploy token's own where it names none; else of the named
        team, or all in which the caller may read them. Raises NotFound, InsufficientScope, Forbidden."""
        actor = call.actor
        reference = call.reference("project_id") or actor.project_id
        environment = call.reference("environment") or actor.environment
        if reference is None:
            parts = await parts_with(read, actor, call.reference("team_id"), needs)
            return cls(condition=queries.of_parts(parts))
        project = await projects.project(read, reference)
        if project is None:
            raise NotFound
        await team_access(read, actor, project.team_id, needs, project_id=project.id, environment=environment)
        return cls(condition=queries.of_project(project.id, environment))


@dataclass(frozen=True, kw_only=True)
class DeploymentAccess(EnvironmentAccess):
    """Proof that the actor may do this to the deployment of the path; its environment is the one it was for."""

    deployment: DeploymentRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises NotFound, InsufficientScope, Forbidden, InvalidState."""
        row = await queries.deployment(read, call.path["id"])
        if row is None:
            raise NotFound
        # what was deployed to an environment is part of the project's history when the environment is deleted
        access = await environment_access(
            read, call.actor, row.project_id, row.environment, needs, deleted=needs.endswith(":read")
        )
        return cls(**vars(access), deployment=row)
