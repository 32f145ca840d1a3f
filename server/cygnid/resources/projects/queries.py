"""The tables `projects`, `environments` and `uid_numbers`."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cygnid.core.db import Read
from cygnid.resources.projects.schemas import BuildSettings, EnvironmentType, ProcessInput, ProjectStatus

_PROJECT = """id, team_id, name, status, framework, build, processes, labels, paused_at, deleted_at, purge_at, version,
    created_at, updated_at, created_by"""
_ENVIRONMENT = """id, project_id, name, type, current_deployment_id, latest_deployment_id, latest_deployment_status,
    latest_deployment_at, url, deleted_at, purge_at, version, created_at, updated_at, created_by"""


class ProjectRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    name: str
    status: ProjectStatus
    framework: str | None
    build: BuildSettings
    processes: list[ProcessInput]
    labels: dict[str, str]
    paused_at: datetime | None
    deleted_at: datetime | None
    purge_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str


class EnvironmentRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    name: str
    type: EnvironmentType
    current_deployment_id: str | None
    latest_deployment_id: str | None
    latest_deployment_status: str | None
    latest_deployment_at: datetime | None
    url: str | None
    deleted_at: datetime | None
    purge_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str


async def project(read: Read, reference: str) -> ProjectRow | None:
    """By id or name (a name has no underscore, an id has one); also a deleted one that is not purged yet."""
    return await read.one(
        ProjectRow,
        f"SELECT {_PROJECT} FROM projects WHERE id = $1 OR name = $1",  # noqa: S608  constant
        reference,
    )


async def environment(read: Read, project_id: str, name: str) -> EnvironmentRow | None:
    """Also a deleted one that is not purged yet."""
    return await read.one(
        EnvironmentRow,
        f"SELECT {_ENVIRONMENT} FROM environments WHERE project_id = $1 AND name = $2",  # noqa: S608  constant
        project_id,
        name,
    )


async def environment_by_id(read: Read, environment_id: str) -> EnvironmentRow | None:
    return await read.one(
        EnvironmentRow,
        f"SELECT {_ENVIRONMENT} FROM environments WHERE id = $1",  # noqa: S608  constant
        environment_id,
    )


async def environments(read: Read, project_id: str) -> Sequence[EnvironmentRow]:
    """The living ones of a project, oldest first."""
    return await read.all(
        EnvironmentRow,
        f"""SELECT {_ENVIRONMENT} FROM environments
            WHERE project_id = $1 AND deleted_at IS NULL ORDER BY id""",  # noqa: S608  constant
        project_id,
    )


async def uid_number(read: Read, owner: str) -> int:
    """The number that was given to this environment or project; the installation's first uid plus it is the uid."""
    number = await read.value("SELECT number FROM uid_numbers WHERE owner = $1", owner)
    assert isinstance(number, int), owner
    return number
