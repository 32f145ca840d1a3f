"""Which variables a request is about."""

from dataclasses import dataclass
from typing import Self

from cygnid.core.access import Permission
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import NotFound
from cygnid.core.http import Call
from cygnid.resources.env import queries
from cygnid.resources.env.queries import PREVIEW, VariableRow
from cygnid.resources.projects.access import ProjectAccess, environment_access, project_access
from cygnid.resources.projects.queries import EnvironmentRow

_READING = (Permission.ENV_READ, Permission.ENV_REVEAL)


@dataclass(frozen=True, kw_only=True)
class EnvAccess(ProjectAccess):
    """Proof that the actor may do this to the variables of `entry`; None: to all of the project."""

    entry: str | None
    environment: EnvironmentRow | None
    """What `entry` names; None for the entry `preview`."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """The project and the environment of body or query. Raises as for them."""
        project, entry = call.reference("project_id") or "", call.reference("environment")
        if entry is None or entry == PREVIEW:
            access = await project_access(read, call.actor, project, needs)
            return cls(**vars(access), entry=entry, environment=None)
        found = await environment_access(read, call.actor, project, entry, needs)
        return cls(**vars(found), entry=entry)


@dataclass(frozen=True, kw_only=True)
class NewVariableAccess(ProjectAccess):
    """Proof that the actor may make a variable in the environments of the body."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises as for the project; Forbidden when a token is bound to another environment."""
        return cls(**vars(await _access(read, call.actor, call.data.project_id, call.data.environments, needs)))


@dataclass(frozen=True, kw_only=True)
class VariableAccess(ProjectAccess):
    """Proof that the actor may do this to the variable."""

    variable: VariableRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """The variable of the path. Raises NotFound, and as for its project and its environments: a token of one
        environment reads what counts there, and changes what counts nowhere else."""
        row = await queries.variable(read, call.path["id"])
        if row is None:
            raise NotFound
        environments = row.environments
        if needs in _READING and call.actor.environment in environments:
            environments = [str(call.actor.environment)]
        return cls(**vars(await _access(read, call.actor, row.project_id, environments, needs)), variable=row)


async def _access(read: Read, actor: Actor, project: str, environments: list[str], needs: Permission) -> ProjectAccess:
    if actor.environment is not None and set(environments) == {actor.environment}:
        found = await environment_access(read, actor, project, actor.environment, needs)
        return ProjectAccess(actor=actor, team_id=found.team_id, permissions=found.permissions, project=found.project)
    return await project_access(read, actor, project, needs)
