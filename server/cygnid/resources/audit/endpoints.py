"""The audit log, read and verified. A listed row is always sealed, so each route waits a moment for the sealer; it
therefore takes its connections itself and holds none meanwhile."""

from cygnid.core.access import Permission
from cygnid.core.db import Read, begin, read
from cygnid.core.errors import Forbidden, InsufficientScope, NotFound, ValidationError
from cygnid.core.http import Answer, Call, Download, download, operation
from cygnid.core.schemas import Page, Warning  # noqa: A004  the contract's name
from cygnid.resources.audit import actions, export, queries, verification
from cygnid.resources.audit.access import AuditAccess, ExportAccess
from cygnid.resources.audit.export import MEDIA
from cygnid.resources.audit.schemas import (
    AuditCheckpoint,
    AuditQuery,
    AuditRow,
    AuditVerification,
    CheckpointsQuery,
    ExportQuery,
    VerifyQuery,
)
from cygnid.resources.projects import queries as projects

_ERRORS = (ValidationError, Forbidden, InsufficientScope, NotFound)
_PENDING = Warning(
    code="audit_rows_pending", message="The newest rows are not sealed yet and left out: ask again.", path=None
)


@operation(
    "GET", "/v1/audit-logs", id="auditLogs.list", needs=Permission.AUDIT_READ, answers=Page[AuditRow], errors=_ERRORS
)
async def list_rows(call: Call, query: AuditQuery) -> Answer:
    """What was done, by whom, to what: newest first. `teamId=null`: what belongs to no team."""
    services = call.services
    async with read(services.pool) as reader:
        access = await AuditAccess.listed(reader, call.actor, query.team_id)
    is_sealed = await actions.await_sealed(services.pool, services.wakeups, access.chains)
    async with read(services.pool) as reader:
        project = await projects.project(reader, query.project_id) if query.project_id else None
        # of a purged project the id is all that is left
        page = await queries.rows(reader, access.chains, query, project.id if project else query.project_id)
    return Answer(data=page, warnings=() if is_sealed else (_PENDING,))


@download(
    "/v1/audit-logs/export",
    id="auditLogs.export",
    needs=Permission.AUDIT_READ,
    media=[kind.partition(";")[0] for kind in MEDIA.values()],
    errors=_ERRORS,
)
async def export_rows(call: Call, access: ExportAccess, query: ExportQuery) -> Download:
    """All rows that the filters mean, each chain from its first to its last: lines of JSON, or CSV."""
    services = call.services
    await actions.await_sealed(services.pool, services.wakeups, access.chains)
    async with begin(services.pool) as tx:
        heads = await queries.heads(tx, access.chains)
        project = await projects.project(tx, query.project_id) if query.project_id else None
        await actions.record_export(tx, call.actor, heads, query, request_id=call.request_id)
    conditions = queries.conditions(query.as_list(), project.id if project else query.project_id)
    return export.download(services.pool, heads, conditions, query.format)


@operation(
    "GET",
    "/v1/audit-logs/verify",
    id="auditLogs.verify",
    needs=Permission.AUDIT_READ,
    answers=AuditVerification,
    errors=_ERRORS,
)
async def verify(call: Call, query: VerifyQuery) -> Answer:
    """Compute a chain's hashes again. `teamId=null`: the installation's."""
    services = call.services
    async with read(services.pool) as reader:
        access = await AuditAccess.of_one(reader, call.actor, query.team_id)
    first = query.from_seq or 1
    if query.to_seq is not None and query.to_seq < first:
        raise ValidationError.one("toSeq", "Must not be below fromSeq", code="out_of_range")
    is_sealed = await actions.await_sealed(services.pool, services.wakeups, access.chains)
    team_id = access.chains.team_ids[0] if access.chains.team_ids else None
    found = await verification.verify(services.pool, services.secrets, team_id, first=first, last=query.to_seq)
    return Answer(data=found, warnings=() if is_sealed else (_PENDING,))


@operation("GET", "/v1/audit-logs/checkpoints", id="auditLogs.checkpoints", needs=Permission.AUDIT_READ, errors=_ERRORS)
async def list_checkpoints(read: Read, call: Call, query: CheckpointsQuery) -> Page[AuditCheckpoint]:
    """Signed heads of the chains, newest first, to be kept elsewhere. `teamId=null`: the installation's."""
    access = await AuditAccess.listed(read, call.actor, query.team_id)
    return await queries.checkpoints(read, access.chains, query)


@operation(
    "GET", "/v1/audit-logs/{id}", id="auditLogs.get", needs=Permission.AUDIT_READ, answers=AuditRow, errors=_ERRORS
)
async def get_row(call: Call, id: str) -> Answer:  # noqa: A002  the path's word
    """One row of the audit log."""
    services = call.services
    if not id.startswith("aud_"):
        raise NotFound
    async with read(services.pool) as reader:
        row = await queries.row(reader, id.removeprefix("aud_"))
        if row is None:
            raise NotFound
        access = await AuditAccess.of_row(reader, call.actor, row.team_id)
    if row.seq is None:
        await actions.await_sealed(services.pool, services.wakeups, access.chains)
        async with read(services.pool) as reader:
            row = await queries.row(reader, row.id)
    if row is None or row.seq is None:
        raise NotFound("This row is not sealed yet.", hint="Ask again in a moment.")
    return Answer(data=queries.shown(row))
