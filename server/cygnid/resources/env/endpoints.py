"""Routes of environment variables."""

import shlex

import msgspec

from cygnid.core.access import Permission
from cygnid.core.db import Read, Tx
from cygnid.core.errors import InvalidState, NameTaken, PreconditionFailed
from cygnid.core.http import Answer, Call, operation
from cygnid.core.paging import PageQuery
from cygnid.core.schemas import Page, Warning  # noqa: A004  the contract's name
from cygnid.resources.env import actions, bulk, dotenv, queries
from cygnid.resources.env.access import EnvAccess, NewVariableAccess, VariableAccess
from cygnid.resources.env.schemas import (
    DryRunQuery,
    EnvAssignment,
    EnvBulkInput,
    EnvExport,
    EnvExportInput,
    EnvFormat,
    EnvImportAnswer,
    EnvImportInput,
    EnvOverlap,
    EnvQuery,
    EnvRevealInput,
    EnvRollbackInput,
    EnvVariable,
    EnvVariableInput,
    EnvVariablePatch,
    EnvVariableValue,
    EnvVersion,
)
from cygnid.resources.projects import actions as projects
from cygnid.resources.projects import queries as project_queries
from cygnid.resources.projects import rules
from cygnid.resources.projects.access import ProjectAccess, environment_access
from cygnid.resources.projects.schemas import Environment, EnvironmentInput

_VARIABLE = "/v1/env/{id}"


@operation("GET", "/v1/env", id="env.list", needs=Permission.ENV_READ)
async def list_variables(read: Read, call: Call, access: EnvAccess, query: EnvQuery) -> Page[EnvVariable]:
    """List the variables of a project, or those that count in one environment; values of secrets are null."""
    page = await queries.variables(read, access.project.id, query, access.environment)
    secrets = call.services.secrets
    return Page(items=[queries.shown(row, secrets, readable=True) for row in page.items], pagination=page.pagination)


@operation(
    "POST",
    "/v1/env",
    id="env.create",
    needs=Permission.ENV_WRITE,
    status=201,
    answers=EnvVariable,
    errors=[EnvOverlap, InvalidState],
    example={
        "projectId": "proj_01kav9fwd4fcp8h18kz45j47x0",
        "key": "DATABASE_URL",
        "value": "postgres://db.acme.dev/shop",
        "environments": ["production"],
    },
)
async def create_variable(tx: Tx, call: Call, access: NewVariableAccess, data: EnvVariableInput) -> Answer:
    """Create a variable; it counts from the next deployment on."""
    variable_id = await actions.create(
        tx,
        call.services.secrets,
        access,
        key=data.key,
        value=data.value,
        environments=data.environments,
        type=data.type,
        target=data.target,
        comment=data.comment,
        request_id=call.request_id,
    )
    return await _answer(tx, call, access, variable_id, location=f"/v1/env/{variable_id}")


@operation(
    "PUT",
    "/v1/env/bulk",
    id="env.setAll",
    needs=Permission.ENV_WRITE,
    answers=EnvImportAnswer,
    errors=[InvalidState],
    example={
        "projectId": "proj_01kav9fwd4fcp8h18kz45j47x0",
        "environment": "production",
        "variables": [{"key": "LOG_LEVEL", "value": "info", "type": "plain"}],
    },
)
async def set_variables(tx: Tx, call: Call, access: EnvAccess, *, data: EnvBulkInput, query: DryRunQuery) -> Answer:
    """Set many variables of one environment, all or none; with `prune` it has no others."""
    bulk.check(data.variables)
    return await _set_all(tx, call, access, data.variables, prune=data.prune, dry_run=query.dry_run)


@operation(
    "POST",
    "/v1/env/import",
    id="env.import",
    needs=Permission.ENV_WRITE,
    answers=EnvImportAnswer,
    errors=[InvalidState],
    example={
        "projectId": "proj_01kav9fwd4fcp8h18kz45j47x0",
        "environment": "production",
        "content": 'LOG_LEVEL=info\nGREETING="Good morning"\n',
    },
)
async def import_variables(
    tx: Tx, call: Call, access: EnvAccess, *, data: EnvImportInput, query: DryRunQuery
) -> Answer:
    """Set what a dotenv file has, new ones as secrets. A file with a line in `errors` changes nothing."""
    found, errors = dotenv.read(data.content)
    if errors:
        refused = EnvImportAnswer(created=0, updated=0, unchanged=0, deleted=0, errors=errors)
        return Answer(data=refused, warnings=_warnings(dry_run=query.dry_run))
    wanted = [EnvAssignment(key=key, value=value) for key, value in found.items()]
    return await _set_all(tx, call, access, wanted, prune=False, dry_run=query.dry_run)


@operation(
    "POST",
    "/v1/env/export",
    id="env.export",
    needs=Permission.ENV_REVEAL,
    answers=EnvExport,
    replayable=False,
    example={
        "projectId": "proj_01kav9fwd4fcp8h18kz45j47x0",
        "environment": "production",
        "format": "dotenv",
        "reason": "Moving to another machine",
    },
)
async def export_variables(tx: Tx, call: Call, access: EnvAccess, data: EnvExportInput) -> Answer:
    """Show all values that count in an environment as one text; who did it, and why, is in the audit log."""
    assert access.entry is not None, "the body names it"
    project_id, secrets = access.project.id, call.services.secrets
    rows = await queries.values_in(tx, secrets, project_id, access.entry, access.environment)
    await actions.record_export(tx, access, reason=data.reason, request_id=call.request_id)
    content = _text(data.format, {row.key: row.value for row in rows})
    return Answer(data=EnvExport(format=data.format, content=content), has_secret=True)


@operation("GET", _VARIABLE, id="env.get", needs=Permission.ENV_READ, answers=EnvVariable)
async def get_variable(call: Call, access: VariableAccess) -> Answer:
    """Get a variable; the value of a secret is null."""
    row = access.variable
    return Answer(data=queries.shown(row, call.services.secrets, readable=True), version=row.revision)


@operation(
    "PATCH",
    _VARIABLE,
    id="env.update",
    needs=Permission.ENV_WRITE,
    answers=EnvVariable,
    errors=[EnvOverlap, InvalidState, PreconditionFailed],
    example={"value": "postgres://db2.acme.dev/shop"},
)
async def update_variable(tx: Tx, call: Call, access: VariableAccess, data: EnvVariablePatch) -> Answer:
    """Change a variable; what builds and processes see of it is a new version."""
    await actions.update(tx, call.services.secrets, access, data, if_match=call.if_match, request_id=call.request_id)
    return await _answer(tx, call, access, access.variable.id)


@operation("DELETE", _VARIABLE, id="env.delete", needs=Permission.ENV_WRITE, status=204, errors=[PreconditionFailed])
async def delete_variable(tx: Tx, call: Call, access: VariableAccess) -> None:
    """Delete a variable; no rollback brings it back."""
    await actions.delete(tx, call.services.secrets, access, if_match=call.if_match, request_id=call.request_id)


@operation(
    "POST",
    "/v1/env/{id}/reveal",
    id="env.reveal",
    needs=Permission.ENV_REVEAL,
    answers=EnvVariableValue,
    replayable=False,
    example={"reason": "Checking the password with the provider"},
)
async def reveal_variable(tx: Tx, call: Call, access: VariableAccess, data: EnvRevealInput) -> Answer:
    """Show the value of a variable; who did it, and why, is in the audit log."""
    row = access.variable
    value = await actions.reveal(tx, call.services.secrets, access, reason=data.reason, request_id=call.request_id)
    return Answer(data=EnvVariableValue(id=row.id, key=row.key, value=value, version=row.version), has_secret=True)


@operation("GET", "/v1/env/{id}/versions", id="env.versions", needs=Permission.ENV_READ)
async def list_versions(read: Read, access: VariableAccess, query: PageQuery) -> Page[EnvVersion]:
    """List the versions of a variable, the newest first, without their values."""
    return await queries.versions(read, access.variable.id, query)


@operation(
    "POST",
    "/v1/env/{id}/rollback",
    id="env.rollback",
    needs=Permission.ENV_WRITE,
    answers=EnvVariable,
    errors=[InvalidState, PreconditionFailed],
    example={"version": 1},
)
async def roll_back_variable(tx: Tx, call: Call, access: VariableAccess, data: EnvRollbackInput) -> Answer:
    """Give a variable the value of an earlier version again, as a new version."""
    await actions.rollback(
        tx, call.services.secrets, access, data.version, if_match=call.if_match, request_id=call.request_id
    )
    return await _answer(tx, call, access, access.variable.id)


@operation(
    "POST",
    "/v1/projects/{id}/environments",
    id="environments.create",
    needs=Permission.PROJECTS_WRITE,
    status=201,
    answers=Environment,
    errors=[NameTaken, InvalidState],
    example={"name": "staging", "type": "custom", "branch": "develop", "cloneFrom": "production"},
)
async def create_environment(tx: Tx, call: Call, access: ProjectAccess, data: EnvironmentInput) -> Answer:
    """Create an environment, with the variables of another if `cloneFrom` names one.

    Secrets are copied with their values for who may reveal them."""
    rules.check(rules.environment_name(data.name), rules.branch("branch", data.branch))
    row = await projects.create_environment(
        tx,
        access,
        access.project,
        name=data.name,
        kind=data.type,
        branch=data.branch,
        protected=data.protected,
        required_approvals=data.required_approvals,
        auto_deploy=data.auto_deploy,
        request_id=call.request_id,
    )
    warnings: list[Warning] = []
    if data.clone_from is not None:
        source = await environment_access(tx, call.actor, access.project.id, data.clone_from, Permission.PROJECTS_WRITE)
        may_reveal = Permission.ENV_REVEAL in source.permissions
        warnings = await actions.copy(tx, call.services.secrets, access, source.environment, row, may_reveal=may_reveal)
    return Answer(
        data=project_queries.shown_environment(access.project, row),
        version=row.version,
        location=f"/v1/projects/{access.project.id}/environments/{row.name}",
        warnings=warnings,
    )


async def _set_all(
    tx: Tx, call: Call, access: EnvAccess, wanted: list[EnvAssignment], *, prune: bool, dry_run: bool
) -> Answer:
    done = await bulk.set_all(
        tx, call.services.secrets, access, wanted, prune=prune, dry_run=dry_run, request_id=call.request_id
    )
    return Answer(data=done, warnings=_warnings(dry_run=dry_run))


def _warnings(*, dry_run: bool) -> list[Warning]:
    return [Warning(code="dry_run", message="Nothing was changed.", path=None)] if dry_run else []


async def _answer(
    read: Read, call: Call, access: ProjectAccess, variable_id: str, *, location: str | None = None
) -> Answer:
    row = await queries.variable(read, variable_id)
    assert row is not None, variable_id
    readable = Permission.ENV_READ in access.permissions
    data = queries.shown(row, call.services.secrets, readable=readable)
    return Answer(data=data, version=row.revision, location=location)


def _text(kind: EnvFormat, found: dict[str, str]) -> str:
    if kind == "json":
        return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
    if kind == "shell":
        return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in found.items())
    return dotenv.write(found)
