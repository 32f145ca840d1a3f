"""Deployments: made, listed, watched, taken back."""

import msgspec

from cygnid.core.access import Permission
from cygnid.core.db import Read, Tx
from cygnid.core.errors import (
    EnvironmentProtected,
    InUse,
    InvalidState,
    NotFound,
    PreconditionFailed,
    SelfApproval,
    ValidationError,
)
from cygnid.core.http import Answer, Call, Producer, events, operation
from cygnid.core.paging import Condition, PageQuery, where
from cygnid.core.schemas import Page, Warning  # noqa: A004  the contract's name
from cygnid.core.sse import StreamEnd
from cygnid.resources.deployments import actions, approvals, queries
from cygnid.resources.deployments.access import DeploymentAccess, DeploymentsAccess
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.deployments.schemas import (
    ENDS,
    ApprovalInput,
    Deployment,
    DeploymentCreate,
    DeploymentEvent,
    DeploymentEvents,
    DeploymentQuery,
    ProjectRestart,
    ProjectRollback,
    Promote,
    Redeploy,
    Rollback,
    StepLogQuery,
    StepQuery,
    Trigger,
)
from cygnid.resources.env import pins as env
from cygnid.resources.logs import queries as logs
from cygnid.resources.logs.follow import follow, oldest
from cygnid.resources.logs.schemas import LogLine
from cygnid.resources.logs.store import wake_of
from cygnid.resources.projects.access import EnvironmentAccess, environment_access

_ENDED = tuple(DeploymentEvents(f"deployment.{status}") for status in ENDS)


@operation("GET", "/v1/deployments", id="deployments.list", needs=Permission.DEPLOYMENTS_READ)
async def list_deployments(read: Read, query: DeploymentQuery, access: DeploymentsAccess) -> Page[Deployment]:
    """Deployments, newest first."""
    page = await queries.deployments(read, query, [access.condition])
    return Page(items=[queries.shown(row) for row in page.items], pagination=page.pagination)


@operation(
    "POST",
    "/v1/deployments",
    id="deployments.create",
    needs=Permission.DEPLOYMENTS_WRITE,
    status=201,
    answers=Deployment,
    errors=[ValidationError, InvalidState],
    example={
        "projectId": "proj_01kav9fwd4fcp8h18kz45j47x0",
        "uploadId": "upl_01kav9g1m2f5zr8bq3w7x9c4dn",
        "message": "Raise the price",
    },
)
async def create_deployment(tx: Tx, call: Call, data: DeploymentCreate, access: EnvironmentAccess) -> Answer:
    """Deploy an upload, or another deployment's artifact."""
    row = await actions.create_deployment(tx, access, data, trigger=_trigger(call), request_id=call.request_id)
    return _created(row)


@operation("GET", "/v1/deployments/{id}", id="deployments.get", needs=Permission.DEPLOYMENTS_READ, answers=Deployment)
async def get_deployment(read: Read, access: DeploymentAccess) -> Answer:
    """How a deployment is: its steps, why it failed, where it answers."""
    return _shown(access.deployment)


@operation(
    "POST",
    "/v1/deployments/{id}/cancel",
    id="deployments.cancel",
    needs=Permission.DEPLOYMENTS_WRITE,
    status=202,
    answers=Deployment,
    errors=[InvalidState],
)
async def cancel_deployment(tx: Tx, call: Call, access: DeploymentAccess) -> Answer:
    """End it before it switches; what serves goes on serving."""
    return _shown(await actions.cancel(tx, access, request_id=call.request_id))


@operation(
    "POST",
    "/v1/deployments/{id}/approve",
    id="deployments.approve",
    needs=Permission.DEPLOYMENTS_APPROVE,
    answers=Deployment,
    errors=[InvalidState, SelfApproval, EnvironmentProtected],
    example={"comment": "Prices checked"},
)
async def approve_deployment(tx: Tx, call: Call, data: ApprovalInput, access: DeploymentAccess) -> Answer:
    """Approve a deployment that waits for it; the last approval that is required queues it. Not by its author."""
    return _shown(await approvals.approve(tx, access, comment=data.comment, request_id=call.request_id))


@operation(
    "POST",
    "/v1/deployments/{id}/redeploy",
    id="deployments.redeploy",
    needs=Permission.DEPLOYMENTS_WRITE,
    status=201,
    answers=Deployment,
    errors=[InvalidState],
    example={"useCache": False},
)
async def redeploy(tx: Tx, call: Call, data: Redeploy, access: DeploymentAccess) -> Answer:
    """Take the same upload through the build again; what has not changed is not built again."""
    row = await actions.redeploy(
        tx,
        access,
        access.deployment,
        use_cache=data.use_cache,
        refresh_env=data.refresh_env,
        trigger=_trigger(call),
        request_id=call.request_id,
    )
    return _created(row)


@operation(
    "POST",
    "/v1/deployments/{id}/promote",
    id="deployments.promote",
    needs=Permission.DEPLOYMENTS_PROMOTE,
    status=201,
    answers=Deployment,
    errors=[InvalidState],
    example={"environment": "staging"},
)
async def promote(tx: Tx, call: Call, data: Promote, access: DeploymentAccess) -> Answer:
    """Release the same artifact in another environment, without a build."""
    target = await environment_access(
        tx, call.actor, access.project.id, data.environment, Permission.DEPLOYMENTS_PROMOTE
    )
    row = await actions.rerelease(
        tx, target, access.deployment, "promote", env_like=None, trigger=_trigger(call), request_id=call.request_id
    )
    return _created(row)


@operation(
    "POST",
    "/v1/deployments/{id}/rollback",
    id="deployments.rollback",
    needs=Permission.DEPLOYMENTS_PROMOTE,
    status=201,
    answers=Deployment,
    errors=[InvalidState],
    example={"restoreEnv": True},
)
async def rollback(tx: Tx, call: Call, data: Rollback, access: DeploymentAccess) -> Answer:
    """Make this one current again, with the variables it had; without a build."""
    return await _rolled_back(tx, call, access, access.deployment, restore_env=data.restore_env)


@operation(
    "DELETE",
    "/v1/deployments/{id}",
    id="deployments.delete",
    needs=Permission.DEPLOYMENTS_DELETE,
    status=204,
    errors=[InUse, InvalidState, PreconditionFailed],
)
async def delete_deployment(tx: Tx, call: Call, access: DeploymentAccess) -> None:
    """Remove it with its artifact; not the current one."""
    await actions.delete_deployment(tx, access, if_match=call.if_match, request_id=call.request_id)


@operation("GET", "/v1/deployments/{id}/events", id="deployments.events", needs=Permission.DEPLOYMENTS_READ)
async def list_events(read: Read, access: DeploymentAccess, query: PageQuery) -> Page[DeploymentEvent]:
    """What happened to it, oldest first."""
    return await queries.events(read, access.deployment.id, query)


@operation(
    "GET",
    "/v1/deployments/{id}/logs",
    id="deployments.logs",
    needs=Permission.LOGS_READ,
    errors=[ValidationError],
)
async def list_log(read: Read, query: StepLogQuery, access: DeploymentAccess) -> Page[LogLine]:
    """What its build and its release command said, oldest first."""
    return await logs.lines(read, query, _lines_of(access.deployment, query.step), sort="timestamp")


@events(
    "/v1/deployments/{id}/logs/stream",
    id="deployments.streamLogs",
    needs=Permission.LOGS_READ,
    sends=LogLine,
    errors=[ValidationError],
)
async def stream_log(read: Read, call: Call, query: StepQuery, access: DeploymentAccess) -> Producer:
    """The same from its beginning and as it comes; ends with the deployment, whose status the last frame has."""
    conditions = _lines_of(access.deployment, query.step)
    start = await oldest(read, conditions, call.last_event_id)

    async def ended(read: Read) -> StreamEnd | None:
        row = await queries.deployment(read, access.deployment.id)
        if row is None:
            return StreamEnd(reason="finished", status=None, exit_code=None)
        if row.status not in ENDS or not await logs.is_read(read, row.id):
            return None
        return StreamEnd(reason="finished", status=row.status, exit_code=None)

    wakes = [wake_of(access.project.id), *_ENDED]
    return follow(call.services, conditions, start, wakes=wakes, ended=ended)


@operation(
    "POST",
    "/v1/projects/{id}/restart",
    id="projects.restart",
    needs=Permission.DEPLOYMENTS_WRITE,
    status=201,
    answers=Deployment,
    errors=[InvalidState],
    example={"environment": "production"},
)
async def restart_project(tx: Tx, call: Call, data: ProjectRestart, access: EnvironmentAccess) -> Answer:
    """Release what is current again, rolling, with variables and process settings of now."""
    return _created(await actions.restart(tx, access, trigger=_trigger(call), request_id=call.request_id))


@operation(
    "POST",
    "/v1/projects/{id}/rollback",
    id="projects.rollback",
    needs=Permission.DEPLOYMENTS_PROMOTE,
    status=201,
    answers=Deployment,
    errors=[InvalidState],
    example={"environment": "production", "restoreEnv": True},
)
async def rollback_project(tx: Tx, call: Call, data: ProjectRollback, access: EnvironmentAccess) -> Answer:
    """Make an earlier deployment current again; by default the last success before this one."""
    environment = access.environment
    if data.deployment_id is None:
        current = environment.current_deployment_id
        row = await queries.before(tx, environment.id, await queries.deployment(tx, current) if current else None)
        if row is None:
            raise InvalidState(
                f"{environment.name} has no earlier deployment to go back to.",
                hint=f"GET /v1/deployments?projectId={access.project.id} lists them; rollbackable says which.",
            )
    else:
        row = await queries.deployment(tx, data.deployment_id)
        if row is None or row.environment_id != environment.id:
            raise NotFound(f"{environment.name} has no such deployment.")
    return await _rolled_back(tx, call, access, row, restore_env=data.restore_env)


async def _rolled_back(
    tx: Tx, call: Call, access: EnvironmentAccess, row: DeploymentRow, *, restore_env: bool
) -> Answer:
    warnings: list[Warning] = []
    if restore_env:
        warnings = await env.differing(tx, access.environment, row.id)
    new = await actions.rerelease(
        tx,
        access,
        row,
        "rollback",
        env_like=row.id if restore_env else None,
        trigger=_trigger(call),
        request_id=call.request_id,
    )
    return _created(new, warnings)


def _lines_of(row: DeploymentRow, step: str | None) -> list[Condition]:
    found = [logs.of_project(row.project_id, row.environment), logs.of_deployment(row.id)]
    return found if step is None else [*found, where("step = $1", step)]


def _shown(row: DeploymentRow) -> Answer:
    return Answer(data=queries.shown(row), version=row.version)


def _created(row: DeploymentRow, warnings: list[Warning] | None = None) -> Answer:
    return Answer(
        data=queries.shown(row),
        version=row.version,
        location=f"/v1/deployments/{row.id}",
        warnings=warnings or (),
    )


def _trigger(call: Call) -> Trigger:
    """Which of our own clients asked, as it says itself in X-Cygni-Client."""
    try:
        name = msgspec.json.decode(call.client or "{}", type=_Client).name
    except msgspec.MsgspecError:
        return "api"
    return name if name in ("cli", "dashboard") else "api"


class _Client(msgspec.Struct):
    name: str = ""
