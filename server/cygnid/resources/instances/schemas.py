"""What is said of processes and instances, and what a release says of itself."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cygnid.build.base import ProcessPlan
from cygnid.core.paging import PageQuery
from cygnid.core.schemas import In, Out, Timestamp
from cygnid.resources.projects.schemas import HealthCheckInput

InstanceStatus = Literal["starting", "running", "unhealthy", "stopping", "stopped", "crashed"]
ExitReason = Literal["exited", "crashed", "outOfMemory", "stopped", "unhealthy"]
Protocol = Literal["http1", "h2c"]

WEB = "web"
"""The process type that the edge sends visitors to."""
START_SECONDS, INTERVAL_SECONDS = 60, 10
"""Of the health check that an app has without asking for one."""
ALIVE_SECONDS = 5
"""A process without a port is healthy when it has lived for this long."""


class InstanceEvent(StrEnum):
    CRASHED = "instance.crashed"
    UNHEALTHY = "instance.unhealthy"
    RECOVERED = "instance.recovered"


class ProcessEvent(StrEnum):
    UPDATED = "process.updated"
    SCALED = "process.scaled"


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One process type of a release, all decided."""

    type: str
    command: str
    port: int | None
    """None: it listens to nothing. 0: the runtime chooses."""
    protocol: Protocol
    keep_alive_seconds: int
    instances: int
    cpu: float
    memory_mb: int
    health_check: HealthCheckInput | None
    plan: ProcessPlan | None
    """What the repository said; None: only the API named this process."""

    @property
    def probe_path(self) -> str:
        """What a health check asks for."""
        return self.health_check.path if self.health_check else "/"

    @property
    def start_seconds(self) -> int:
        """How long it may take until it is healthy for the first time; without a port, how long it must live."""
        if self.port is None:
            return ALIVE_SECONDS
        return self.health_check.timeout_seconds if self.health_check else START_SECONDS

    def accepts(self, status: int | None) -> bool:
        """Whether this answer to a health check is a healthy one. None: it did not answer."""
        if status is None:
            return False
        return 200 <= status < 400 if self.health_check else status < 500


class ReleaseSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment runs or serves. Static ones have no processes."""

    deployment_id: str
    project_id: str
    environment_id: str
    environment: str
    kind: Literal["release", "static"]
    path: str
    """The sealed folder."""
    root: str
    """Folder inside of it to run in; "" for its top."""
    mounts: list[tuple[str, str]]
    env: dict[str, str]
    """The artifact's defaults; the deployment's pinned variables win."""
    fallback: str | None
    processes: list[ProcessSpec]

    def process(self, type: str) -> ProcessSpec | None:  # noqa: A002  the field's name
        return next((spec for spec in self.processes if spec.type == type), None)


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """What the API set of a process type; None: nothing."""

    type: str = ""
    instances: int | None = None
    cpu: float | None = None
    memory_mb: int | None = None


class ProcessPatch(In, frozen=True, kw_only=True):
    instances: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    """Acts at once and is kept over deploys; 0 stops it."""
    cpu: Annotated[float, Meta(ge=0.05, le=64)] | UnsetType = UNSET
    """Cores, in steps of 0.05; waits for the next deployment or restart."""
    memory_mb: Annotated[int, Meta(ge=16, le=1_048_576)] | UnsetType = UNSET
    """Waits for the next deployment or restart."""


class EnvironmentQuery(PageQuery, frozen=True, kw_only=True):
    environment: str = "production"


class InEnvironment(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    environment: str = "production"


class InstanceQuery(EnvironmentQuery, frozen=True, kw_only=True):
    process: str | None = None
    status: list[InstanceStatus] | None = None
    deployment_id: str | None = None


class HealthCheck(Out, frozen=True, kw_only=True):
    path: str
    timeout_seconds: int
    interval_seconds: int


class Process(Out, frozen=True, kw_only=True):
    id: str
    team_id: str
    project_id: str
    environment: str
    type: str
    command: str
    port: int | None
    protocol: Protocol
    keep_alive_seconds: int
    instances: int
    running_instances: int
    cpu: float
    memory_mb: int
    health_check: HealthCheck | None
    pending: bool
    """A setting waits for the next deployment or restart."""
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str


class InstanceExit(Out, frozen=True, kw_only=True):
    at: Timestamp
    exit_code: int | None
    """Null when a signal ended it, or nobody saw the end."""
    signal: str | None
    reason: ExitReason


class Instance(Out, frozen=True, kw_only=True):
    id: str
    team_id: str
    project_id: str
    environment: str
    process: str
    deployment_id: str
    status: InstanceStatus
    node: str
    restarts: int
    started_at: Timestamp | None
    last_exit: InstanceExit | None
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str
