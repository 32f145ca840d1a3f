"""Which variables a request is about."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from msgspec import UNSET

from cygnid.core.access import GUARDED, Permission
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import Forbidden, NotFound
from cygnid.core.http import Call
from cygnid.resources.env import queries
from cygnid.resources.env.queries import PREVIEW, VariableRow
from cygnid.resources.env.schemas import EnvVariablePatch
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.access import ProjectAccess, environment_access, project_access, require_in_protected
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
            await _require(read, access, [] if entry is None else [entry], needs)
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
        environment reads what counts there, and changes what counts nowhere else, nor shall."""
        row = await queries.variable(read, call.path["id"])
        if row is None:
            raise NotFound
        environments = list(row.environments)
        if isinstance(call.data, EnvVariablePatch) and call.data.environments is not UNSET:
            environments += call.data.environments
        access = await _access(read, call.actor, row.project_id, environments, needs, partly=needs in _READING)
        return cls(**vars(access), variable=row)


async def _access(
    read: Read, actor: Actor, project: str, environments: list[str], needs: Permission, *, partly: bool = False
) -> ProjectAccess:
    """In the project as a whole, else in each of the environments, or in one of them when `partly`. What counts for
    previews counts in all that come."""
    try:
        access = await project_access(read, actor, project, needs)
    except Forbidden:
        named = [name for name in environments if name != PREVIEW]
        if not named or (len(named) < len(environments) and not partly):
            raise
    else:
        await _require(read, access, environments, needs)
        return access
    found: list[ProjectAccess] = []
    for name in named:
        try:
            found.append(await environment_access(read, actor, project, name, needs))
        except Forbidden:
            if not partly or (name == named[-1] and not found):
                raise
    permissions = frozenset.intersection(*(one.permissions for one in found))
    access = ProjectAccess(actor=actor, team_id=found[0].team_id, permissions=permissions, project=found[0].project)
    await _require(read, access, environments, needs)
    return access


async def _require(read: Read, access: ProjectAccess, environments: Collection[str], needs: Permission) -> None:
    """That it may be done in all of these that are protected: what counts in one counts there too. Raises
    EnvironmentProtected."""
    if needs not in GUARDED:
        return
    names = set(environments)
    if PREVIEW in names:
        rows = await projects.environments(read, access.project.id, deleted=True)
        names |= {row.name for row in rows if row.type == "preview"}
    await require_in_protected(read, access, needs, names)
