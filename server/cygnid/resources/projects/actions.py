"""What can happen to projects and their environments."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import UNSET

from cygnid.core import changes, clock, etag, quotas
from cygnid.core.access import TeamAccess
from cygnid.core.db import Tx
from cygnid.core.errors import Gone, InvalidState, NotFound, Unavailable
from cygnid.core.ids import new_id
from cygnid.resources.projects import queries, rules, sources
from cygnid.resources.projects.access import ProjectAccess
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow
from cygnid.resources.projects.schemas import (
    BuildSettings,
    EnvironmentEvent,
    EnvironmentNameTaken,
    EnvironmentType,
    ProcessInput,
    ProjectEvent,
    ProjectNameTaken,
    ProjectPatch,
    ProjectSource,
)
from cygnid.settings import Settings

RESTORABLE = timedelta(days=7)
FIRST_UID_NUMBER, UID_NUMBERS = 10, 10_000
"""Of an installation's block of uids; the first ten are the platform's own programs."""


async def create_project(
    tx: Tx,
    access: TeamAccess,
    *,
    name: str,
    framework: str | None = None,
    source: ProjectSource | None = None,
    build: BuildSettings | None = None,
    processes: Sequence[ProcessInput] = (),
    labels: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> ProjectRow:
    """Store the project with its production environment. Raises ProjectNameTaken (from the unique index, not from a
    look beforehand), ValidationError for a connection that cannot be the source's, QuotaExceeded."""
    await quotas.require(tx, access.team_id, "projects", queries.count)
    await sources.check_connection(tx, access.team_id, source)
    project_id, now = new_id("proj"), clock.now()
    async with tx.unique(projects_name_taken=ProjectNameTaken()):
        await tx.execute(
            """INSERT INTO projects (id, team_id, name, framework, source, build, processes, labels, created_at,
                   updated_at, created_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)""",
            project_id,
            access.team_id,
            name,
            framework,
            msgspec.to_builtins(source),
            msgspec.to_builtins(build or BuildSettings()),
            msgspec.to_builtins(list(processes)),
            dict(labels or {}),
            now,
            access.actor.created_by,
        )
    await _give_uid(tx, project_id)
    row = await queries.project(tx, project_id)
    assert row is not None
    await changes.record(
        tx, access.actor, ProjectEvent.CREATED, subject(row), after={"name": name}, request_id=request_id
    )
    await create_environment(tx, access, row, name="production", kind="production", request_id=request_id)
    return row


async def create_environment(
    tx: Tx,
    access: TeamAccess,
    project: ProjectRow,
    *,
    name: str,
    kind: EnvironmentType,
    branch: str | None = None,
    protected: bool = False,
    required_approvals: int = 0,
    auto_deploy: bool = True,
    request_id: str | None = None,
) -> EnvironmentRow:
    """Raises EnvironmentNameTaken."""
    environment_id, now = new_id("envt"), clock.now()
    async with tx.unique(environments_name_taken=EnvironmentNameTaken()):
        await tx.execute(
            """INSERT INTO environments (id, project_id, name, type, branch, protected, required_approvals, auto_deploy,
                   created_at, updated_at, created_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)""",
            environment_id,
            project.id,
            name,
            kind,
            branch,
            protected,
            required_approvals,
            auto_deploy,
            now,
            access.actor.created_by,
        )
    await _give_uid(tx, environment_id)
    row = await queries.environment(tx, project.id, name)
    assert row is not None
    await changes.record(
        tx,
        access.actor,
        EnvironmentEvent.CREATED,
        environment_subject(project, row),
        after={"name": name, "type": kind},
        request_id=request_id,
    )
    return row


async def update_project(
    tx: Tx,
    access: ProjectAccess,
    patch: ProjectPatch,
    settings: Settings,
    *,
    if_match: int | None,
    request_id: str | None = None,
) -> None:
    """Merge the patch in; one that changes nothing leaves no trace. Another name is another host, at once.
    Raises ValidationError, ProjectNameTaken, PreconditionFailed, InvalidState."""
    row = await _matched(tx, access, settings, if_match)
    if row.deleted_at is not None:
        raise InvalidState("This project is deleted.")
    after = _patched(row, patch)
    rules.check(
        rules.project_name(settings, after.name) if after.name != row.name else [],
        rules.source(settings, after.source) if after.source not in (None, row.source) else [],
        rules.build(after.build),
        rules.processes(after.processes),
        rules.labels(after.labels),
    )
    was, now_is = _differing(row, after)
    if not now_is:
        return
    if after.source != row.source:
        await sources.check_connection(tx, row.team_id, after.source)
    async with tx.unique(projects_name_taken=ProjectNameTaken()):
        await tx.execute(
            """UPDATE projects SET name = $2, framework = $3, source = $4, build = $5, processes = $6, labels = $7,
                   updated_at = $8, version = version + 1
               WHERE id = $1""",
            row.id,
            after.name,
            after.framework,
            msgspec.to_builtins(after.source),
            msgspec.to_builtins(after.build),
            msgspec.to_builtins(after.processes),
            after.labels,
            clock.now(),
        )
    if sources.repository(after) != sources.repository(row):
        await tx.execute("UPDATE environments SET followed_sha = NULL WHERE project_id = $1", row.id)
    if after.name != row.name:
        for environment in await queries.environments(tx, row.id):
            if environment.url is not None:
                await set_url(tx, environment.id, settings.url(after.name, environment.name))
        await changes.wake(tx, changes.Wake.ROUTES)
    await changes.record(
        tx, access.actor, ProjectEvent.UPDATED, subject(after), before=was, after=now_is, request_id=request_id
    )


async def delete_project(
    tx: Tx, access: ProjectAccess, settings: Settings, *, if_match: int | None = None, request_id: str | None = None
) -> None:
    """Nothing of it runs or is served from now on; until purgeAt it can be restored. Again is the same.
    Raises PreconditionFailed."""
    row = await _matched(tx, access, settings, if_match)
    if row.deleted_at is None:
        now = clock.now()
        await tx.execute(
            "UPDATE projects SET deleted_at = $2, purge_at = $3, updated_at = $2 WHERE id = $1",
            row.id,
            now,
            now + RESTORABLE,
        )
        await changes.record(tx, access.actor, ProjectEvent.DELETED, subject(row), request_id=request_id)


async def restore_project(tx: Tx, access: ProjectAccess, *, request_id: str | None = None) -> None:
    """As it was, paused where it was paused. Raises Gone when its time is over, QuotaExceeded."""
    if access.project.deleted_at is not None:
        await quotas.require(tx, access.team_id, "projects", queries.count)
    row = await _locked(tx, access)
    if row.purge_at is not None:
        require_time(row.purge_at)
        await tx.execute(
            "UPDATE projects SET deleted_at = NULL, purge_at = NULL, updated_at = $2 WHERE id = $1", row.id, clock.now()
        )
        await changes.record(tx, access.actor, ProjectEvent.RESTORED, subject(row), request_id=request_id)


async def pause_project(tx: Tx, access: ProjectAccess, *, request_id: str | None = None) -> None:
    """All its instances stop and its hosts answer 503. Again is the same. Raises InvalidState for a deleted one."""
    row = await _locked(tx, access)
    await _set_paused(tx, access, row, paused_at=row.paused_at or clock.now(), request_id=request_id)


async def resume_project(tx: Tx, access: ProjectAccess, *, request_id: str | None = None) -> None:
    """Raises InvalidState for a deleted one."""
    row = await _locked(tx, access)
    await _set_paused(tx, access, row, paused_at=None, request_id=request_id)


async def purge_project(tx: Tx, project_id: str) -> None:
    """Forget a project whose files are gone, with all that belongs to it; its users are free for others."""
    owners = [project_id, *await queries.all_environment_ids(tx, project_id)]
    await tx.execute("DELETE FROM projects WHERE id = $1", project_id)
    await tx.execute("DELETE FROM uid_numbers WHERE owner = ANY($1)", owners)


async def purge_environment(tx: Tx, environment_id: str) -> None:
    await tx.execute("DELETE FROM environments WHERE id = $1", environment_id)
    await tx.execute("DELETE FROM uid_numbers WHERE owner = $1", environment_id)


async def set_current(tx: Tx, environment_id: str, deployment_id: str | None) -> None:
    """What the environment serves from now on. Called by deployments in the transaction that switches."""
    await tx.execute(
        "UPDATE environments SET current_deployment_id = $2, updated_at = $3 WHERE id = $1",
        environment_id,
        deployment_id,
        clock.now(),
    )


async def set_latest(tx: Tx, environment_id: str, deployment_id: str, status: str, created_at: datetime) -> None:
    """The newest deployment and its status. Called by deployments at every change of a status; one older than the
    environment's newest changes nothing."""
    await tx.execute(
        """UPDATE environments SET latest_deployment_id = $2, latest_deployment_status = $3, latest_deployment_at = $4
           WHERE id = $1 AND (latest_deployment_id IS NULL OR latest_deployment_id <= $2)""",
        environment_id,
        deployment_id,
        status,
        created_at,
    )


async def set_followed(tx: Tx, environment_id: str, sha: str) -> None:
    """The newest commit of its branch that was taken note of. Called by deployments, with the environment locked."""
    await tx.execute("UPDATE environments SET followed_sha = $2 WHERE id = $1", environment_id, sha)


async def set_url(tx: Tx, environment_id: str, url: str | None) -> None:
    """Where the environment answers. Called by routes."""
    await tx.execute("UPDATE environments SET url = $2 WHERE id = $1", environment_id, url)


def subject(project: ProjectRow) -> changes.Subject:
    return changes.Subject(
        type="project", id=project.id, name=project.name, team_id=project.team_id, project_id=project.id
    )


def environment_subject(project: ProjectRow, environment: EnvironmentRow) -> changes.Subject:
    return changes.Subject(
        type="environment",
        id=environment.id,
        name=environment.name,
        team_id=project.team_id,
        project_id=project.id,
        environment=environment.name,
    )


async def _locked(tx: Tx, access: ProjectAccess) -> ProjectRow:
    """As it is now: between the look of the access and this, another request may have changed it."""
    row = await queries.project_for_change(tx, access.project.id)
    if row is None:
        raise NotFound
    return row


async def _matched(tx: Tx, access: ProjectAccess, settings: Settings, if_match: int | None) -> ProjectRow:
    row = await _locked(tx, access)
    etag.require(if_match, row.version, queries.shown(settings, await queries.view(tx, row.id)))
    return row


async def _set_paused(
    tx: Tx, access: ProjectAccess, row: ProjectRow, *, paused_at: datetime | None, request_id: str | None
) -> None:
    if row.deleted_at is not None:
        raise InvalidState("This project is deleted.")
    if paused_at != row.paused_at:
        await tx.execute(
            "UPDATE projects SET paused_at = $2, updated_at = $3 WHERE id = $1", row.id, paused_at, clock.now()
        )
        event = ProjectEvent.PAUSED if paused_at else ProjectEvent.RESUMED
        await changes.record(tx, access.actor, event, subject(row), request_id=request_id)


def require_time(purge_at: datetime) -> None:
    """Raises Gone."""
    if purge_at <= clock.now():
        raise Gone("The time to restore this is over.", hint="Create it anew.")


def _patched(row: ProjectRow, patch: ProjectPatch) -> ProjectRow:
    """JSON merge patch (RFC 7396)."""
    fields: dict[str, Any] = {}
    if patch.name is not UNSET:
        fields["name"] = patch.name
    if patch.framework is not UNSET:
        fields["framework"] = patch.framework
    if patch.source is None:
        fields["source"] = None
    elif patch.source is not UNSET:
        fields["source"] = sources.merged(row.source, patch.source)
    if patch.build is None:
        fields["build"] = BuildSettings()
    elif patch.build is not UNSET:
        merged = msgspec.to_builtins(row.build) | msgspec.to_builtins(patch.build)
        kept = {name: value for name, value in merged.items() if value is not None}
        fields["build"] = msgspec.convert(kept, BuildSettings)
    if patch.processes is not UNSET:
        fields["processes"] = patch.processes or []
    if patch.labels is None:
        fields["labels"] = {}
    elif patch.labels is not UNSET:
        rules.check(rules.labels(patch.labels))
        merged = row.labels | patch.labels
        fields["labels"] = {key: value for key, value in merged.items() if value is not None}
    return msgspec.structs.replace(row, **fields)


def _differing(before: ProjectRow, after: ProjectRow) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settable fields that differ, as they were and as they are."""
    names = [
        name
        for name in ("name", "framework", "source", "build", "processes", "labels")
        if getattr(before, name) != getattr(after, name)
    ]
    return {name: getattr(before, name) for name in names}, {name: getattr(after, name) for name in names}


async def _give_uid(tx: Tx, owner: str) -> None:
    """The lowest free number, under a lock until the transaction ends: two owners never share a user."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('uid_numbers'))")
    given = await tx.execute(
        """INSERT INTO uid_numbers (number, owner)
           SELECT number, $3 FROM generate_series($1::int, $2::int - 1) AS free (number)
           WHERE NOT EXISTS (SELECT FROM uid_numbers taken WHERE taken.number = free.number) ORDER BY number LIMIT 1""",
        FIRST_UID_NUMBER,
        UID_NUMBERS,
        owner,
    )
    if not given:
        raise Unavailable(
            "This installation has no free user for another environment.",
            hint="Delete projects and wait for their purge: each environment and each project holds one user.",
        )
