"""What can happen to projects and their environments."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cygnid.core import changes, clock
from cygnid.core.access import TeamAccess
from cygnid.core.db import Tx
from cygnid.core.errors import Unavailable
from cygnid.core.ids import new_id
from cygnid.resources.projects import queries
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow
from cygnid.resources.projects.schemas import (
    BuildSettings,
    EnvironmentEvent,
    EnvironmentNameTaken,
    EnvironmentType,
    ProcessInput,
    ProjectEvent,
    ProjectNameTaken,
)

FIRST_UID_NUMBER, UID_NUMBERS = 10, 10_000
"""Of an installation's block of uids; the first ten are the platform's own programs."""


async def create_project(
    tx: Tx,
    access: TeamAccess,
    *,
    name: str,
    framework: str | None = None,
    build: BuildSettings | None = None,
    processes: Sequence[ProcessInput] = (),
    labels: dict[str, str] | None = None,
) -> ProjectRow:
    """Store the project with its production environment. Raises ProjectNameTaken (from the unique index, not from a
    look beforehand)."""
    project_id, now = new_id("proj"), clock.now()
    async with tx.unique(projects_name_taken=ProjectNameTaken()):
        await tx.execute(
            """INSERT INTO projects (id, team_id, name, framework, build, processes, labels, created_at, updated_at,
                   created_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)""",
            project_id,
            access.team_id,
            name,
            framework,
            msgspec.to_builtins(build or BuildSettings()),
            msgspec.to_builtins(list(processes)),
            labels or {},
            now,
            access.actor.created_by,
        )
    await _give_uid(tx, project_id)
    row = await queries.project(tx, project_id)
    assert row is not None
    await changes.record(tx, access.actor, ProjectEvent.CREATED, subject(row), after={"name": name})
    await create_environment(tx, access, row, name="production", kind="production")
    return row


async def create_environment(
    tx: Tx, access: TeamAccess, project: ProjectRow, *, name: str, kind: EnvironmentType
) -> EnvironmentRow:
    """Raises EnvironmentNameTaken."""
    environment_id, now = new_id("envt"), clock.now()
    async with tx.unique(environments_name_taken=EnvironmentNameTaken()):
        await tx.execute(
            """INSERT INTO environments (id, project_id, name, type, created_at, updated_at, created_by)
               VALUES ($1, $2, $3, $4, $5, $5, $6)""",
            environment_id,
            project.id,
            name,
            kind,
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
    )
    return row


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
