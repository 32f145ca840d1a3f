"""Which project, and which of its environments, a request is about."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Self

from cygnid.core.access import ALL, Permission, TeamAccess, held_in, refused_in, team_access
from cygnid.core.actors import SYSTEM, Actor
from cygnid.core.db import Read
from cygnid.core.errors import EnvironmentProtected, InvalidState, NotFound, ValidationError
from cygnid.core.http import Call
from cygnid.resources.projects import queries
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow


@dataclass(frozen=True, kw_only=True)
class ProjectAccess(TeamAccess):
    """Proof that the actor may do this to the project."""

    project: ProjectRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """The project of the path, or the `projectId` of body or query. Raises NotFound, InsufficientScope, Forbidden,
        and InvalidState for a change of a deleted one."""
        return cls(**vars(await project_access(read, call.actor, _reference(call), needs)))


@dataclass(frozen=True, kw_only=True)
class EnvironmentAccess(ProjectAccess):
    """Proof that the actor may do this in one environment of the project."""

    environment: EnvironmentRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Its name is in the path, or the `environment` of body or query. Raises as for the project."""
        name = call.path.get("name") or call.reference("environment") or "production"
        return cls(**vars(await environment_access(read, call.actor, _reference(call), name, needs)))


@dataclass(frozen=True, kw_only=True)
class DeletedAccess(ProjectAccess):
    """The same, for what can be done to a deleted project too."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        return cls(**vars(await project_access(read, call.actor, _reference(call), needs, deleted=True)))


@dataclass(frozen=True, kw_only=True)
class DeletedEnvironmentAccess(EnvironmentAccess):
    """The same, for what can be done to a deleted environment too."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        name = call.path["name"]
        return cls(**vars(await environment_access(read, call.actor, _reference(call), name, needs, deleted=True)))


async def project_access(
    read: Read, actor: Actor, reference: str, needs: Permission, *, deleted: bool = False
) -> ProjectAccess:
    """`reference`: id or name. Raises NotFound, InsufficientScope, Forbidden; InvalidState for a change of a deleted
    project unless `deleted` says that it may be."""
    found = await queries.project(read, reference)
    if found is None:
        raise NotFound
    # whoever may read one environment may read what the project as a whole is called
    partly = needs == Permission.PROJECTS_READ
    access = await team_access(read, actor, found.team_id, needs, project_id=found.id, partly=partly)
    if not deleted:
        _require_living(found, needs)
    return ProjectAccess(**vars(access), project=found)


async def environment_access(
    read: Read, actor: Actor, reference: str, name: str, needs: Permission, *, deleted: bool = False
) -> EnvironmentAccess:
    """As `project_access`, for the environment called `name`; a deleted one is NotFound unless `deleted`. Raises
    EnvironmentProtected where that asks for a grant that lacks."""
    found = await queries.project(read, reference)
    if found is None:
        raise NotFound
    access = await team_access(read, actor, found.team_id, needs, project_id=found.id, environment=name)
    environment = await queries.environment(read, found.id, name)
    if environment is None or (environment.deleted_at is not None and not deleted):
        raise NotFound(
            f"The project {found.name} has no environment {name}.",
            hint=f"GET /v1/projects/{found.id}/environments lists them.",
        )
    _require_living(found, needs)
    if environment.protected:
        permissions = (await held_in(read, actor, found.team_id)).on_protected(found.id, name)
        if needs not in permissions:
            with refused_in(found.team_id, found.id, name):
                raise EnvironmentProtected(f"{name} of {found.name} is protected: {needs} needs a grant there.")
        access = replace(access, permissions=permissions)
    return EnvironmentAccess(**vars(access), project=found, environment=environment)


async def require_in_protected(
    read: Read, access: ProjectAccess, needs: Permission, names: Collection[str] | None = None
) -> None:
    """That what is done to the project as a whole may be done in each of its protected environments (of these names).
    Raises EnvironmentProtected."""
    for row in await queries.environments(read, access.project.id, deleted=True):
        if row.protected and (names is None or row.name in names):
            await environment_access(read, access.actor, access.project.id, row.name, needs, deleted=True)


async def require_for_all(read: Read, access: ProjectAccess) -> None:
    """That the actor may stop, move or remove all that the project serves: by projects:admin, or as somebody who may
    scale each environment that is protected. Raises EnvironmentProtected."""
    if Permission.PROJECTS_ADMIN not in access.permissions:
        await require_in_protected(read, access, Permission.DEPLOYMENTS_SCALE)


def platform_access(project: ProjectRow, environment: EnvironmentRow) -> EnvironmentAccess:
    """For what the platform does by itself, because somebody with the permission has set that it shall."""
    return EnvironmentAccess(
        actor=SYSTEM, team_id=project.team_id, permissions=ALL, project=project, environment=environment
    )


def _require_living(project: ProjectRow, needs: Permission) -> None:
    if project.deleted_at is not None and not needs.endswith(":read"):
        raise InvalidState(
            "This project is deleted.",
            hint=f"Until its purgeAt, POST /v1/projects/{project.id}/restore brings it back.",
        )


def _reference(call: Call) -> str:
    reference = call.path.get("id") or call.reference("project_id")
    if not reference:
        raise ValidationError.one("projectId", "Names the project, by its id or name.", code="required")
    return reference
