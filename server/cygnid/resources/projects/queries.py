"""The tables `projects`, `environments` and `uid_numbers`."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cygnid.core.db import Read
from cygnid.core.filters import by_time, labels, searched
from cygnid.core.paging import Condition, Listing, PageQuery, fetch, where
from cygnid.core.schemas import Page, alike
from cygnid.resources.projects.schemas import (
    BuildSettings,
    DeploymentSummary,
    Environment,
    EnvironmentType,
    ProcessInput,
    Project,
    ProjectSource,
    ProjectsQuery,
    ProjectStatus,
)
from cygnid.resources.teams.queries import Parts, in_parts
from cygnid.settings import Settings

_PROJECT = """id, team_id, name, status, framework, source, build, processes, labels, paused_at, deleted_at, purge_at,
    version, created_at, updated_at, created_by"""
_ENVIRONMENT = """id, project_id, name, type, branch, protected, required_approvals, auto_deploy, followed_sha,
    current_deployment_id, latest_deployment_id, latest_deployment_status, latest_deployment_at, url, deleted_at,
    purge_at, version, created_at, updated_at, created_by"""


class ProjectRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    name: str
    status: ProjectStatus
    framework: str | None
    source: ProjectSource | None
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

    @property
    def branch(self) -> str:
        """What is deployed where nothing else is asked for."""
        return "main" if self.source is None else self.source.branch

    def followed(self, environment: "EnvironmentRow") -> str | None:
        """The branch whose new commits are that environment's: its own, in production without one the project's."""
        return environment.branch or (self.branch if environment.name == "production" else None)


class ProjectView(ProjectRow, frozen=True, kw_only=True):
    """The project with what its production environment serves."""

    url: str | None
    current_deployment_id: str | None
    latest_deployment_id: str | None
    latest_deployment_status: str | None
    latest_deployment_at: datetime | None
    git_url: str = ""
    """Not stored: `shown` knows where this installation is."""

    @property
    def latest_deployment(self) -> DeploymentSummary | None:
        if not (self.latest_deployment_id and self.latest_deployment_status and self.latest_deployment_at):
            return None
        return DeploymentSummary(
            id=self.latest_deployment_id, status=self.latest_deployment_status, created_at=self.latest_deployment_at
        )


class EnvironmentRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    name: str
    type: EnvironmentType
    branch: str | None
    """As it was set; see `ProjectRow.followed`."""
    protected: bool
    required_approvals: int
    auto_deploy: bool
    followed_sha: str | None
    """The newest commit of that branch that was taken note of."""
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


class _Id(msgspec.Struct, frozen=True):
    id: str


class _IdInProject(msgspec.Struct, frozen=True):
    id: str
    project_id: str


_LIVING: list[ProjectStatus] = ["active", "paused"]
_PROJECTS = Listing(
    select="""SELECT p.id, p.team_id, p.name, p.status, p.framework, p.source, p.build, p.processes, p.labels,
                  p.paused_at, p.deleted_at, p.purge_at, p.version, p.created_at, p.updated_at, p.created_by, e.url,
                  e.current_deployment_id, e.latest_deployment_id, e.latest_deployment_status, e.latest_deployment_at
              FROM projects p JOIN environments e ON e.project_id = p.id AND e.name = 'production'""",
    sorts={"name": "name", "createdAt": "created_at", "updatedAt": "updated_at"},
)
_ENVIRONMENTS = Listing(
    select=f"SELECT {_ENVIRONMENT} FROM environments",  # noqa: S608  constant
    sorts={"name": "name", "createdAt": "created_at", "updatedAt": "updated_at"},
    default="createdAt",
)


async def project(read: Read, reference: str) -> ProjectRow | None:
    """By id or name (a name has no underscore, an id has one); also a deleted one that is not purged yet."""
    return await read.one(
        ProjectRow,
        f"SELECT {_PROJECT} FROM projects WHERE id = $1 OR name = $1",  # noqa: S608  constant
        reference,
    )


async def project_for_change(read: Read, project_id: str) -> ProjectRow | None:
    """Locked until the transaction ends; rows that refer to it may still be added."""
    return await read.one(
        ProjectRow,
        f"SELECT {_PROJECT} FROM projects WHERE id = $1 FOR NO KEY UPDATE",  # noqa: S608  constant
        project_id,
    )


async def view(read: Read, project_id: str) -> ProjectView:
    found = await read.one(ProjectView, f"{_PROJECTS.select} WHERE p.id = $1", project_id)
    assert found is not None, project_id
    return found


async def projects(read: Read, settings: Settings, parts: Parts, query: ProjectsQuery) -> Page[Project]:
    """Those of these parts; deleted ones only where `status` asks for them."""
    conditions = [
        in_parts(parts, team="p.team_id = ANY($1)", project="p.id"),
        where("p.status = ANY($1)", query.status or _LIVING),
    ]
    if query.name is not None:
        conditions.append(where("p.name = $1", query.name))
    conditions += searched(query.search, "p.name")
    conditions += labels(query.label, "p.labels")
    conditions += by_time(query, created="p.created_at", updated="p.updated_at")
    page = await fetch(read, ProjectView, _PROJECTS, query, conditions)
    return Page(items=[shown(settings, row) for row in page.items], pagination=page.pagination)


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


async def environments(read: Read, project_id: str, *, deleted: bool = False) -> Sequence[EnvironmentRow]:
    """The living ones of a project, oldest first; `deleted`: all."""
    return await read.all(
        EnvironmentRow,
        f"""SELECT {_ENVIRONMENT} FROM environments
            WHERE project_id = $1 AND ($2 OR deleted_at IS NULL) ORDER BY id""",  # noqa: S608  constant
        project_id,
        deleted,
    )


async def environment_for_change(read: Read, environment_id: str) -> EnvironmentRow | None:
    """Locked until the transaction ends."""
    return await read.one(
        EnvironmentRow,
        f"SELECT {_ENVIRONMENT} FROM environments WHERE id = $1 FOR NO KEY UPDATE",  # noqa: S608  constant
        environment_id,
    )


async def listed_environments(read: Read, project: ProjectRow, query: PageQuery) -> Page[Environment]:
    conditions: list[Condition] = [where("project_id = $1 AND deleted_at IS NULL", project.id)]
    page = await fetch(read, EnvironmentRow, _ENVIRONMENTS, query, conditions)
    return Page(items=[shown_environment(project, row) for row in page.items], pagination=page.pagination)


async def purgeable_projects(read: Read, before: datetime) -> Sequence[str]:
    """Those whose time to be restored ended before this, and of which nothing is left on the machine."""
    return [
        row.id
        for row in await read.all(
            _Id,
            """SELECT id FROM projects WHERE purge_at <= $1 AND NOT EXISTS (
                   SELECT FROM occupied_environments o JOIN environments e ON e.id = o.environment_id
                   WHERE e.project_id = projects.id)
               ORDER BY purge_at, id""",
            before,
        )
    ]


async def purgeable_environments(read: Read, before: datetime) -> Sequence[tuple[str, str]]:
    """(project, environment)."""
    return [
        (row.project_id, row.id)
        for row in await read.all(
            _IdInProject,
            """SELECT project_id, id FROM environments WHERE purge_at <= $1 AND NOT EXISTS (
                   SELECT FROM occupied_environments o WHERE o.environment_id = environments.id)
               ORDER BY purge_at, id""",
            before,
        )
    ]


async def all_environment_ids(read: Read, project_id: str) -> Sequence[str]:
    """Of deleted ones too."""
    rows = await read.all(_Id, "SELECT id FROM environments WHERE project_id = $1 ORDER BY id", project_id)
    return [row.id for row in rows]


async def count(read: Read, team_id: str) -> int:
    """The team's projects; deleted ones are not among them."""
    return await read.value("SELECT count(*) FROM projects WHERE team_id = $1 AND deleted_at IS NULL", team_id)


async def uid_number(read: Read, owner: str) -> int:
    """The number that was given to this environment or project; the installation's first uid plus it is the uid."""
    number = await read.value("SELECT number FROM uid_numbers WHERE owner = $1", owner)
    assert isinstance(number, int), owner
    return number


def shown(settings: Settings, row: ProjectView) -> Project:
    """The project on the wire."""
    known = msgspec.structs.replace(row, git_url=settings.git_url(row.name))
    return msgspec.convert(known, Project, from_attributes=True)


def shown_environment(project: ProjectRow, row: EnvironmentRow) -> Environment:
    """The environment on the wire."""
    fields = alike(row, Environment)
    fields["branch"] = project.followed(row)
    return Environment(**fields, team_id=project.team_id)
