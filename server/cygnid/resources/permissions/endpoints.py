"""Routes of permissions, roles and grants."""

from cygnid.core import clock
from cygnid.core.access import Held, Permission, held_in, permissions_by_team, team_access
from cygnid.core.actors import Actor
from cygnid.core.db import Read, Tx
from cygnid.core.errors import Forbidden, InvalidState, NameTaken, NotFound, PreconditionFailed, ValidationError
from cygnid.core.http import Answer, Call, operation
from cygnid.core.paging import PageQuery, whole
from cygnid.core.schemas import Page
from cygnid.resources.permissions import actions, checks, grants, queries
from cygnid.resources.permissions.access import GrantAccess, NewGrantAccess, RoleAccess, SeenRole
from cygnid.resources.permissions.catalogue import catalogue
from cygnid.resources.permissions.checks import Place
from cygnid.resources.permissions.queries import GrantRow, RoleRow
from cygnid.resources.permissions.schemas import (
    CheckInput,
    EffectivePermission,
    EffectiveQuery,
    Grant,
    GrantInput,
    GrantsQuery,
    PermissionCheck,
    PermissionChecks,
    PermissionInfo,
    Role,
    RoleInput,
    RoleInUse,
    RolePatch,
    RolesQuery,
)
from cygnid.resources.projects import queries as projects
from cygnid.resources.teams.access import ChosenTeam, ListedParts, ListedTeams, only_team

_ROLE, _GRANT = "/v1/roles/{id}", "/v1/grants/{id}"
_SCOPES = frozenset(permission.value for permission in Permission)


@operation("GET", "/v1/permissions", id="permissions.list", needs="any")
async def list_permissions(query: PageQuery) -> Page[PermissionInfo]:
    """List every permission there is, and what it is for."""
    return whole(catalogue(), query)


@operation("GET", "/v1/permissions/effective", id="permissions.effective", needs="any", errors=[Forbidden, NotFound])
async def list_effective(read: Read, actor: Actor, query: EffectiveQuery) -> Page[EffectivePermission]:
    """List what you, or a member, may do in a team or on a project, and what gives it."""
    project_id, team_id = None, query.team_id
    if query.project_id is not None:
        project_id, team_id = await _project(read, actor, query.project_id)
    whose, held = await _held(read, actor, team_id or await only_team(read, actor), query.user_id)
    return whole(checks.effective(held, whose, project_id), query)


@operation(
    "POST",
    "/v1/permissions/check",
    id="permissions.check",
    needs="any",
    replayable=False,
    errors=[Forbidden, NotFound],
    example={
        "checks": [
            {"scope": "deployments:write", "projectId": "proj_01kav9fwd4fcp8h18kz45j47x0", "environment": "production"}
        ]
    },
)
async def check_permissions(tx: Tx, actor: Actor, data: CheckInput) -> PermissionChecks:
    """Ask whether you, or a member, may do things, why, and what would allow them."""
    found: list[PermissionCheck] = []
    for index, item in enumerate(data.checks):
        if item.scope not in _SCOPES:
            raise ValidationError.one(
                f"checks[{index}].scope", f"There is no permission {item.scope}.", code="not_allowed"
            )
        if item.environment is not None and item.project_id is None:
            raise ValidationError.one(f"checks[{index}].projectId", "Says of which project.", code="required")
        scope, project_id, team_id = Permission(item.scope), None, data.team_id
        if scope == Permission.INSTANCE_ADMIN and data.user_id in (None, actor.user_id):
            found.append(checks.explain_administration(actor))
            continue
        if item.project_id is not None:
            project_id, team_id = await _project(tx, actor, item.project_id)
            if item.environment is not None and await projects.environment(tx, project_id, item.environment) is None:
                raise NotFound
        team_id = team_id or await only_team(tx, actor)
        whose, held = await _held(tx, actor, team_id, data.user_id)
        place = Place(project_id=project_id, environment=item.environment)
        found.append(checks.explain(whose, held, await queries.roles(tx, team_id), scope, place))
    return PermissionChecks(checks=found)


@operation("GET", "/v1/roles", id="roles.list", needs=Permission.ROLES_READ)
async def list_roles(read: Read, teams: ListedTeams, query: RolesQuery) -> Page[Role]:
    """List the built-in roles and those of your teams."""
    return await queries.listed_roles(read, teams.team_ids, query)


@operation(
    "POST",
    "/v1/roles",
    id="roles.create",
    needs=Permission.ROLES_WRITE,
    status=201,
    answers=Role,
    errors=[NameTaken],
    example={"name": "support", "description": "Sees and restarts", "scopes": ["projects:read", "logs:read"]},
)
async def create_role(tx: Tx, call: Call, access: ChosenTeam, data: RoleInput) -> Answer:
    """Create a role out of permissions that you have."""
    row = await actions.create_role(tx, access, data, request_id=call.request_id)
    return _role_answer(row, location=f"/v1/roles/{row.id}")


@operation("GET", _ROLE, id="roles.get", needs=Permission.ROLES_READ, answers=Role)
async def get_role(access: SeenRole) -> Answer:
    """Get a role."""
    return _role_answer(access.role)


@operation(
    "PATCH",
    _ROLE,
    id="roles.update",
    needs=Permission.ROLES_WRITE,
    answers=Role,
    errors=[NameTaken, InvalidState, PreconditionFailed],
    example={"scopes": ["projects:read", "logs:read", "metrics:read"]},
)
async def update_role(tx: Tx, call: Call, access: RoleAccess, data: RolePatch) -> Answer:
    """Change a role for all who have it; a built-in one stays as it is."""
    return _role_answer(await actions.update_role(tx, access, data, if_match=call.if_match, request_id=call.request_id))


@operation(
    "DELETE",
    _ROLE,
    id="roles.delete",
    needs=Permission.ROLES_WRITE,
    status=204,
    errors=[RoleInUse, InvalidState, PreconditionFailed],
)
async def delete_role(tx: Tx, call: Call, access: RoleAccess) -> None:
    """Delete a role that nobody has."""
    await actions.delete_role(tx, access, if_match=call.if_match, request_id=call.request_id)


@operation("GET", "/v1/grants", id="grants.list", needs=Permission.ROLES_READ)
async def list_grants(read: Read, parts: ListedParts, query: GrantsQuery) -> Page[Grant]:
    """List grants that hold: roles on single projects."""
    return await queries.listed_grants(read, parts, query, clock.now())


@operation(
    "POST",
    "/v1/grants",
    id="grants.create",
    needs=Permission.ROLES_WRITE,
    status=201,
    answers=Grant,
    errors=[InvalidState],
    example={
        "projectId": "proj_01kav9fwd4fcp8h18kz45j47x0",
        "environment": "production",
        "userId": "user_01kav9fwd4fcp8h18kz45j47x0",
        "role": "operator",
        "expiresAt": "2099-01-01T00:00:00Z",
    },
)
async def create_grant(tx: Tx, call: Call, access: NewGrantAccess, data: GrantInput) -> Answer:
    """Give a member or a token a role on one project, or in one of its environments, also for a time only."""
    row = await grants.create_grant(tx, access, data, request_id=call.request_id)
    return _grant_answer(row, location=f"/v1/grants/{row.id}")


@operation("GET", _GRANT, id="grants.get", needs=Permission.ROLES_READ, answers=Grant)
async def get_grant(access: GrantAccess) -> Answer:
    """Get a grant."""
    return _grant_answer(access.grant)


@operation("DELETE", _GRANT, id="grants.delete", needs=Permission.ROLES_WRITE, status=204)
async def delete_grant(tx: Tx, call: Call, access: GrantAccess) -> None:
    """Take a role on a project away again, at once."""
    await grants.delete_grant(tx, access, request_id=call.request_id)


async def _project(read: Read, actor: Actor, reference: str) -> tuple[str, str]:
    """Its id and its team's. Raises NotFound for one that is in no team of the actor."""
    found = await projects.project(read, reference)
    if found is None or found.team_id not in await permissions_by_team(read, actor):
        raise NotFound
    return found.id, found.team_id


async def _held(read: Read, actor: Actor, team_id: str, user_id: str | None) -> tuple[Actor, Held]:
    """Of whom it is, and all that they may do in the team. A member is asked about as by a token of all scopes."""
    if user_id is None:
        return actor, await held_in(read, actor, team_id)
    if user_id != actor.user_id:
        await team_access(read, actor, team_id, Permission.MEMBERS_READ)
    member = Actor(type="user", id=user_id, name="", user_id=user_id, scopes=frozenset(["*"]))
    return member, await held_in(read, member, team_id)


def _role_answer(row: RoleRow, *, location: str | None = None) -> Answer:
    return Answer(data=queries.shown_role(row), version=row.version, location=location)


def _grant_answer(row: GrantRow, *, location: str | None = None) -> Answer:
    return Answer(data=queries.shown_grant(row), version=1, location=location)
