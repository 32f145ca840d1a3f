"""What is said of projects and their environments."""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from cygnid.build import patterns
from cygnid.core.errors import NameTaken
from cygnid.core.filters import Label, Search, TimeQuery
from cygnid.core.schemas import In, Out, Timestamp

ProjectStatus = Literal["active", "paused", "deleted"]
EnvironmentType = Literal["production", "preview", "development", "custom"]
Command = Annotated[str, Meta(min_length=1, max_length=4096)]
Folder = Annotated[str, Meta(max_length=1024)]
Pattern = Annotated[str, Meta(min_length=1, max_length=patterns.LONGEST)]
Framework = Annotated[str, Meta(min_length=1, max_length=64)]
Labels = dict[str, str]
Branch = Annotated[str, Meta(min_length=1, max_length=255)]
RequiredApprovals = Annotated[int, Meta(ge=0, le=10, description="How many others must approve each deployment.")]
ProcessType = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]


class ProjectEvent(StrEnum):
    CREATED = "project.created"
    UPDATED = "project.updated"
    DELETED = "project.deleted"
    RESTORED = "project.restored"
    PAUSED = "project.paused"
    RESUMED = "project.resumed"


class EnvironmentEvent(StrEnum):
    CREATED = "environment.created"
    UPDATED = "environment.updated"
    DELETED = "environment.deleted"
    RESTORED = "environment.restored"


class ProjectNameTaken(NameTaken):
    """Another project of this installation has this name."""

    hint = "Choose another name: names are hosts, and a deleted project keeps its name until it is purged."


class EnvironmentNameTaken(NameTaken):
    """The project has an environment of this name."""

    hint = "Choose another name: a deleted environment keeps its name until it is purged."


class BuildSettings(In, frozen=True, kw_only=True):
    """How the project is built; null: as cygni.toml says, else as detected."""

    root_dir: Folder | None = None
    builder: Literal["auto", "process"] = "auto"
    install_command: Command | None = None
    build_command: Command | None = None
    output_dir: Folder | None = None
    release_command: Command | None = None
    watch_paths: list[Pattern] = []
    """A new commit that changes none of these is not built; empty: every commit is. As in .gitignore, from the
    repository's top."""


class BuildSettingsPatch(In, frozen=True, kw_only=True):
    root_dir: Folder | UnsetType | None = UNSET
    builder: Literal["auto", "process"] | UnsetType | None = UNSET
    install_command: Command | UnsetType | None = UNSET
    build_command: Command | UnsetType | None = UNSET
    output_dir: Folder | UnsetType | None = UNSET
    release_command: Command | UnsetType | None = UNSET
    watch_paths: list[Pattern] | UnsetType | None = UNSET


class ProjectSource(In, frozen=True, kw_only=True):
    """The git repository that the project is deployed from."""

    repository_url: Annotated[str, Meta(min_length=1, max_length=2048)]
    """https or ssh, without credentials: those are a connection's."""
    branch: Branch = "main"
    """What is deployed where nothing else is asked for."""
    connection_id: str | None = None


class ProjectSourcePatch(In, frozen=True, kw_only=True):
    repository_url: Annotated[str, Meta(min_length=1, max_length=2048)] | UnsetType = UNSET
    branch: Branch | UnsetType = UNSET
    connection_id: str | UnsetType | None = UNSET


class HealthCheckInput(In, frozen=True, kw_only=True):
    """Healthy is 200 to 399, asked of the instance with the app's Host."""

    path: Annotated[str, Meta(pattern=r"^/[!-~]*$", max_length=2048)]
    timeout_seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    interval_seconds: Annotated[int, Meta(ge=1, le=3600)] = 10


class ProcessInput(In, frozen=True, kw_only=True):
    """What the API wants of one process type; null leaves a field to the repository."""

    type: ProcessType
    command: Command | None = None
    port: Annotated[int, Meta(ge=1024, le=65535)] | None = None
    protocol: Literal["http1", "h2c"] | None = None
    keep_alive_seconds: Annotated[int, Meta(ge=1, le=3600)] | None = None
    instances: Annotated[int, Meta(ge=0, le=100)] | None = None
    cpu: Annotated[float, Meta(ge=0.05, le=64, description="Cores, in steps of 0.05.")] | None = None
    memory_mb: Annotated[int, Meta(ge=16, le=1_048_576)] | None = None
    health_check: HealthCheckInput | None = None


class ProjectInput(In, frozen=True, kw_only=True):
    name: str
    team_id: str | None = None
    framework: Framework | None = None
    source: ProjectSource | None = None
    build: BuildSettings | None = None
    processes: list[ProcessInput] = []
    labels: Labels = {}


class ProjectPatch(In, frozen=True, kw_only=True):
    """What is absent stays, null clears; `source` and `build` merge by field, `labels` by key, `processes` are
    replaced."""

    name: str | UnsetType = UNSET
    framework: Framework | UnsetType | None = UNSET
    source: ProjectSourcePatch | UnsetType | None = UNSET
    build: BuildSettingsPatch | UnsetType | None = UNSET
    processes: list[ProcessInput] | UnsetType | None = UNSET
    labels: dict[str, str | None] | UnsetType | None = UNSET


class ProjectsQuery(TimeQuery, frozen=True, kw_only=True):
    status: list[ProjectStatus] = []
    name: str | None = None
    team_id: str | None = None
    label: list[Label] = []
    search: Search | None = None


class ConfirmQuery(In, frozen=True, kw_only=True):
    """Deleting takes the name once more, so that nobody deletes what they did not mean."""

    confirm: str | None = None


class EnvironmentInput(In, frozen=True, kw_only=True):
    name: str
    type: EnvironmentType = "custom"
    branch: Branch | None = None
    """What is pushed to it is deployed; null: none, in production the project's own."""
    protected: bool = False
    """What changes it needs a grant there."""
    required_approvals: RequiredApprovals = 0
    auto_deploy: bool = True
    clone_from: str | None = None
    """An environment whose variables the new one gets as its own."""


class EnvironmentPatch(In, frozen=True, kw_only=True):
    """What is absent stays, null clears."""

    branch: Branch | UnsetType | None = UNSET
    protected: bool | UnsetType = UNSET
    required_approvals: RequiredApprovals | UnsetType = UNSET
    auto_deploy: bool | UnsetType = UNSET


class DeploymentSummary(Out, frozen=True, kw_only=True):
    id: str
    status: str
    created_at: Timestamp


class BuildSettingsOut(Out, frozen=True, kw_only=True):
    root_dir: str | None
    builder: Literal["auto", "process"]
    install_command: str | None
    build_command: str | None
    output_dir: str | None
    release_command: str | None
    watch_paths: list[str]


class ProjectSourceOut(Out, frozen=True, kw_only=True):
    repository_url: str
    branch: str
    connection_id: str | None


class Project(Out, frozen=True, kw_only=True):
    id: str
    team_id: str
    name: str
    status: ProjectStatus
    framework: str | None
    source: ProjectSourceOut | None
    """null: uploads and git push only."""
    build: BuildSettingsOut
    labels: dict[str, str]
    url: str | None
    """Of production; null: no web process yet."""
    git_url: str
    """The remote for git push: a token is the password."""
    current_deployment_id: str | None
    latest_deployment: DeploymentSummary | None
    paused_at: Timestamp | None
    deleted_at: Timestamp | None
    purge_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str


class Environment(Out, frozen=True, kw_only=True):
    id: str
    team_id: str
    project_id: str
    name: str
    type: EnvironmentType
    branch: str | None
    """Deployed when something new is on it, if `autoDeploy`; null: no branch is."""
    protected: bool
    required_approvals: int
    """How many others must approve a deployment before it begins; 0: none."""
    auto_deploy: bool
    current_deployment_id: str | None
    url: str | None
    deleted_at: Timestamp | None
    purge_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str
