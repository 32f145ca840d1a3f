"""Routes of projects and their environments."""

from msgspec import UNSET

from cygnid.core.access import Permission
from cygnid.core.db import Read, Tx
from cygnid.core.errors import EnvironmentProtected, Gone, InvalidState, NameTaken, PreconditionFailed, ValidationError
from cygnid.core.http import Answer, Call, operation
from cygnid.core.paging import PageQuery
from cygnid.core.schemas import Page
from cygnid.resources.projects import actions, environments, queries, rules
from cygnid.resources.projects.access import (
    DeletedAccess,
    DeletedEnvironmentAccess,
    EnvironmentAccess,
    ProjectAccess,
    require_for_all,
)
from cygnid.resources.projects.schemas import (
    ConfirmQuery,
    Environment,
    EnvironmentPatch,
    Project,
    ProjectInput,
    ProjectPatch,
    ProjectsQuery,
)
from cygnid.resources.teams.access import ChosenTeam, ListedParts

_PROJECT = "/v1/projects/{id}"
_ENVIRONMENT = "/v1/projects/{id}/environments/{name}"


@operation("GET", "/v1/projects", id="projects.list", needs=Permission.PROJECTS_READ)
async def list_projects(read: Read, call: Call, parts: ListedParts, query: ProjectsQuery) -> Page[Project]:
    """List projects; deleted ones only when `status` asks for them."""
    return await queries.projects(read, call.services.settings, parts, query)


@operation(
    "POST",
    "/v1/projects",
    id="projects.create",
    needs=Permission.PROJECTS_WRITE,
    status=201,
    answers=Project,
    errors=[NameTaken],
    example={
        "name": "shop",
        "labels": {"team": "core"},
        "processes": [{"type": "web", "instances": 2, "memoryMb": 256}],
    },
)
async def create_project(tx: Tx, call: Call, access: ChosenTeam, data: ProjectInput) -> Answer:
    """Create a project with its production environment."""
    rules.check(
        rules.project_name(call.services.settings, data.name),
        rules.processes(data.processes),
        rules.labels(data.labels),
        rules.source(call.services.settings, data.source) if data.source else [],
        rules.build(data.build) if data.build else [],
    )
    row = await actions.create_project(
        tx,
        access,
        name=data.name,
        framework=data.framework,
        source=data.source,
        build=data.build,
        processes=data.processes,
        labels=data.labels,
        request_id=call.request_id,
    )
    return await _answer(tx, call, row.id, location=f"/v1/projects/{row.id}")


@operation("GET", _PROJECT, id="projects.get", needs=Permission.PROJECTS_READ, answers=Project)
async def get_project(read: Read, call: Call, access: ProjectAccess) -> Answer:
    """Get a project by its id or name."""
    return await _answer(read, call, access.project.id)


@operation(
    "PATCH",
    _PROJECT,
    id="projects.update",
    needs=Permission.PROJECTS_WRITE,
    answers=Project,
    errors=[NameTaken, InvalidState, PreconditionFailed, EnvironmentProtected],
    example={"labels": {"team": "core", "old": None}, "build": {"rootDir": "apps/web"}},
)
async def update_project(tx: Tx, call: Call, access: ProjectAccess, data: ProjectPatch) -> Answer:
    """Change a project; what it builds and runs follows with the next deployment, its name at once."""
    if data.name is not UNSET and data.name != access.project.name:
        await require_for_all(tx, access)
    await actions.update_project(
        tx, access, data, call.services.settings, if_match=call.if_match, request_id=call.request_id
    )
    return await _answer(tx, call, access.project.id)


@operation(
    "DELETE",
    _PROJECT,
    id="projects.delete",
    needs=Permission.PROJECTS_DELETE,
    status=202,
    answers=Project,
    errors=[PreconditionFailed, EnvironmentProtected],
)
async def delete_project(tx: Tx, call: Call, access: DeletedAccess, query: ConfirmQuery) -> Answer:
    """Delete a project; it can be restored for seven days."""
    _require_confirmed(query, access.project.name)
    await require_for_all(tx, access)
    await actions.delete_project(tx, access, call.services.settings, if_match=call.if_match, request_id=call.request_id)
    return await _answer(tx, call, access.project.id)


@operation(
    "POST",
    "/v1/projects/{id}/restore",
    id="projects.restore",
    needs=Permission.PROJECTS_DELETE,
    answers=Project,
    errors=[Gone],
)
async def restore_project(tx: Tx, call: Call, access: DeletedAccess) -> Answer:
    """Undo the deletion of a project."""
    await actions.restore_project(tx, access, request_id=call.request_id)
    return await _answer(tx, call, access.project.id)


@operation(
    "POST",
    "/v1/projects/{id}/pause",
    id="projects.pause",
    needs=Permission.PROJECTS_WRITE,
    status=202,
    answers=Project,
    errors=[InvalidState, EnvironmentProtected],
)
async def pause_project(tx: Tx, call: Call, access: ProjectAccess) -> Answer:
    """Stop all instances of a project and serve a 503 page in their place."""
    await require_for_all(tx, access)
    await actions.pause_project(tx, access, request_id=call.request_id)
    return await _answer(tx, call, access.project.id)


@operation(
    "POST",
    "/v1/projects/{id}/resume",
    id="projects.resume",
    needs=Permission.PROJECTS_WRITE,
    status=202,
    answers=Project,
    errors=[InvalidState, EnvironmentProtected],
)
async def resume_project(tx: Tx, call: Call, access: ProjectAccess) -> Answer:
    """Start the instances of a paused project again."""
    await require_for_all(tx, access)
    await actions.resume_project(tx, access, request_id=call.request_id)
    return await _answer(tx, call, access.project.id)


@operation("GET", "/v1/projects/{id}/environments", id="environments.list", needs=Permission.PROJECTS_READ)
async def list_environments(read: Read, access: ProjectAccess, query: PageQuery) -> Page[Environment]:
    """List the environments of a project."""
    return await queries.listed_environments(read, access.project, query)


@operation("GET", _ENVIRONMENT, id="environments.get", needs=Permission.PROJECTS_READ, answers=Environment)
async def get_environment(access: EnvironmentAccess) -> Answer:
    """Get an environment by its name."""
    row = access.environment
    return Answer(data=queries.shown_environment(access.project, row), version=row.version)


@operation(
    "PATCH",
    _ENVIRONMENT,
    id="environments.update",
    needs=Permission.PROJECTS_ADMIN,
    answers=Environment,
    errors=[PreconditionFailed],
    example={"branch": "develop", "protected": True, "requiredApprovals": 1},
)
async def update_environment(tx: Tx, call: Call, access: EnvironmentAccess, data: EnvironmentPatch) -> Answer:
    """Change which branch an environment follows, whether what is new on it is deployed, and who may change it."""
    await environments.update_environment(tx, access, data, if_match=call.if_match, request_id=call.request_id)
    return await _environment_answer(tx, access)


@operation(
    "DELETE",
    _ENVIRONMENT,
    id="environments.delete",
    needs=Permission.PROJECTS_ADMIN,
    status=202,
    answers=Environment,
    errors=[InvalidState, PreconditionFailed],
)
async def delete_environment(tx: Tx, call: Call, access: DeletedEnvironmentAccess, query: ConfirmQuery) -> Answer:
    """Delete an environment other than production; it can be restored for seven days."""
    _require_confirmed(query, access.environment.name)
    await environments.delete_environment(tx, access, if_match=call.if_match, request_id=call.request_id)
    return await _environment_answer(tx, access)


@operation(
    "POST",
    "/v1/projects/{id}/environments/{name}/restore",
    id="environments.restore",
    needs=Permission.PROJECTS_ADMIN,
    answers=Environment,
    errors=[Gone, InvalidState],
)
async def restore_environment(tx: Tx, call: Call, access: DeletedEnvironmentAccess) -> Answer:
    """Undo the deletion of an environment."""
    await environments.restore_environment(tx, access, request_id=call.request_id)
    return await _environment_answer(tx, access)


async def _answer(read: Read, call: Call, project_id: str, *, location: str | None = None) -> Answer:
    row = await queries.view(read, project_id)
    return Answer(data=queries.shown(call.services.settings, row), version=row.version, location=location)


async def _environment_answer(read: Read, access: EnvironmentAccess) -> Answer:
    row = await queries.environment_by_id(read, access.environment.id)
    assert row is not None
    return Answer(data=queries.shown_environment(access.project, row), version=row.version)


def _require_confirmed(query: ConfirmQuery, name: str) -> None:
    if query.confirm != name:
        raise ValidationError.one("confirm", f"Must be the name, {name}", code="required")
