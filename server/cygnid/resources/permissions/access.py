"""Which role or grant a request is about."""

from dataclasses import dataclass
from typing import Self

from cygnid.core import clock
from cygnid.core.access import Permission, TeamAccess, team_access
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import InvalidState, NotFound
from cygnid.core.http import Call
from cygnid.resources.permissions import queries
from cygnid.resources.permissions.queries import GrantRow, RoleRow
from cygnid.resources.projects.access import ProjectAccess, environment_access, project_access
from cygnid.resources.teams.access import teams_with


@dataclass(frozen=True, kw_only=True)
class SeenRole:
    """Proof that the actor may see the role of the path."""

    role: RoleRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Built-in ones are seen by whoever may see roles somewhere. Raises NotFound, InsufficientScope, Forbidden."""
        row = await _role(read, call)
        if row.team_id is None:
            await teams_with(read, call.actor, None, needs)
        else:
            await team_access(read, call.actor, row.team_id, needs)
        return cls(role=row)


@dataclass(frozen=True, kw_only=True)
class RoleAccess(TeamAccess):
    """Proof that the actor may change roles in the team of the one in the path."""

    role: RoleRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises NotFound, InsufficientScope, Forbidden, and InvalidState for a built-in one."""
        row = await _role(read, call)
        if row.team_id is None:
            await teams_with(read, call.actor, None, needs)
            raise InvalidState("A built-in role cannot be changed.", hint="Create a role of your own: POST /v1/roles.")
        return cls(**vars(await team_access(read, call.actor, row.team_id, needs)), role=row)


@dataclass(frozen=True, kw_only=True)
class NewGrantAccess(ProjectAccess):
    """Proof that the actor may grant roles on the project, or in the environment, of the body."""

    environment: str | None

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises NotFound, InsufficientScope, Forbidden, InvalidState."""
        project, name = call.data.project_id, call.data.environment
        if name is None:
            return cls(**vars(await project_access(read, call.actor, project, needs)), environment=None)
        found = await environment_access(read, call.actor, project, name, needs)
        return cls(
            actor=found.actor,
            team_id=found.team_id,
            permissions=found.permissions,
            project=found.project,
            environment=name,
        )


@dataclass(frozen=True, kw_only=True)
class GrantAccess(TeamAccess):
    """Proof that the actor may do this to the grant of the path."""

    grant: GrantRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises NotFound, InsufficientScope, Forbidden."""
        row = await queries.grant(read, call.path["id"], clock.now())
        if row is None:
            raise NotFound
        return cls(**vars(await grant_access(read, call.actor, row, needs)), grant=row)


async def grant_access(read: Read, actor: Actor, row: GrantRow, needs: Permission) -> TeamAccess:
    """Raises NotFound, InsufficientScope, Forbidden."""
    return await team_access(read, actor, row.team_id, needs, project_id=row.project_id, environment=row.environment)


async def _role(read: Read, call: Call) -> RoleRow:
    row = await queries.role(read, call.path["id"])
    if row is None:
        raise NotFound
    return row
