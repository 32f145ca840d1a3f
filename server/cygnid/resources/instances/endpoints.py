"""Routes of processes and instances."""

from msgspec import UNSET

from cygnid.core.access import Permission
from cygnid.core.db import Read, Tx
from cygnid.core.errors import InvalidState, PreconditionFailed, ValidationError
from cygnid.core.http import Answer, Call, operation
from cygnid.core.schemas import Page
from cygnid.resources.instances import actions, queries
from cygnid.resources.instances.access import InstanceAccess
from cygnid.resources.instances.schemas import (
    EnvironmentQuery,
    InEnvironment,
    Instance,
    InstanceQuery,
    Process,
    ProcessPatch,
)
from cygnid.resources.projects import rules
from cygnid.resources.projects.access import EnvironmentAccess

_PROCESSES = "/v1/projects/{id}/processes"
_INSTANCES = "/v1/projects/{id}/instances"


@operation("GET", _PROCESSES, id="processes.list", needs=Permission.PROJECTS_READ)
async def list_processes(read: Read, access: EnvironmentAccess, query: EnvironmentQuery) -> Page[Process]:
    """List what an environment runs."""
    page = await queries.processes(read, access.environment.id, query)
    return Page(items=[queries.shown_process(row, access.project) for row in page.items], pagination=page.pagination)


@operation("GET", f"{_PROCESSES}/{{type}}", id="processes.get", needs=Permission.PROJECTS_READ, answers=Process)
async def get_process(read: Read, access: EnvironmentAccess, query: InEnvironment, type: str) -> Answer:  # noqa: A002
    """Get a process of an environment by its type."""
    return await _answer(read, access, type)


@operation(
    "PATCH",
    f"{_PROCESSES}/{{type}}",
    id="processes.update",
    needs=Permission.DEPLOYMENTS_SCALE,
    answers=Process,
    errors=[InvalidState, PreconditionFailed],
    example={"instances": 3},
)
async def update_process(
    tx: Tx,
    call: Call,
    access: EnvironmentAccess,
    *,
    query: InEnvironment,
    type: str,  # noqa: A002
    data: ProcessPatch,
) -> Answer:
    """Scale a process: its instances at once, its size with the next deployment or restart."""
    if data.cpu is not UNSET and not rules.is_cpu(data.cpu):
        raise ValidationError.one("cpu", "Must be a multiple of 0.05")
    await actions.update_process(tx, access, type, data, if_match=call.if_match, request_id=call.request_id)
    return await _answer(tx, access, type)


@operation("GET", _INSTANCES, id="instances.list", needs=Permission.PROJECTS_READ)
async def list_instances(read: Read, access: EnvironmentAccess, query: InstanceQuery) -> Page[Instance]:
    """List the instances of an environment, those that are just gone too."""
    page = await queries.instances(read, access.environment.id, query)
    return Page(items=[queries.shown_instance(row) for row in page.items], pagination=page.pagination)


@operation("GET", f"{_INSTANCES}/{{instanceId}}", id="instances.get", needs=Permission.PROJECTS_READ, answers=Instance)
async def get_instance(read: Read, access: InstanceAccess) -> Answer:
    """Get an instance."""
    return Answer(data=queries.shown_instance(access.instance))


async def _answer(read: Read, access: EnvironmentAccess, type_: str) -> Answer:
    row = await queries.process(read, access.environment.id, type_)
    if row is None:
        raise actions.no_such_process(access, type_)
    return Answer(data=queries.shown_process(row, access.project), version=row.version)
