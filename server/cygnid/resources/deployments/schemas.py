"""What is said of deployments."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cygnid.core.errors import InvalidState
from cygnid.core.filters import Label, Search, TimeQuery
from cygnid.core.paging import LogQuery
from cygnid.core.schemas import In, Out, Timestamp

Status = Literal[
    "awaitingApproval",
    "queued",
    "building",
    "releasing",
    "deploying",
    "verifying",
    "success",
    "failed",
    "canceled",
    "superseded",
]
Type = Literal["deploy", "redeploy", "promote", "rollback", "configChange", "restart"]
Trigger = Literal["api", "cli", "dashboard", "git"]
Strategy = Literal["rolling", "recreate"]
StepName = Literal["source", "build", "release", "start", "health", "switch"]
StepStatus = Literal["pending", "running", "success", "failed", "skipped", "canceled"]
FailureCode = Literal[
    "source_unavailable", "source_invalid", "nothing_detected", "toolchain_missing", "build_error", "build_timeout",
    "build_oom", "release_command_failed", "release_command_interrupted", "start_crash", "port_not_bound",
    "out_of_memory", "health_check_failed", "switch_failed", "step_timeout", "quota_exceeded", "disk_full",
    "worker_lost", "internal",
]  # fmt: skip

STEPS: tuple[StepName, ...] = ("source", "build", "release", "start", "health", "switch")
RUNNING: tuple[Status, ...] = ("building", "releasing", "deploying", "verifying")
ENDS: tuple[Status, ...] = ("success", "failed", "canceled", "superseded")


Sha = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}$", max_length=40)]
Ref = Annotated[str, Meta(min_length=1, max_length=255)]


class DeploymentEvents(StrEnum):
    CREATED = "deployment.created"
    AWAITING_APPROVAL = "deployment.awaiting_approval"
    APPROVED = "deployment.approved"
    QUEUED = "deployment.queued"
    BUILDING = "deployment.building"
    RELEASING = "deployment.releasing"
    DEPLOYING = "deployment.deploying"
    VERIFYING = "deployment.verifying"
    SUCCESS = "deployment.success"
    FAILED = "deployment.failed"
    CANCELED = "deployment.canceled"
    SUPERSEDED = "deployment.superseded"
    PROMOTED = "deployment.promoted"
    ROLLED_BACK = "deployment.rolled_back"
    DELETED = "deployment.deleted"


class ArtifactPruned(InvalidState):
    """The artifact of this deployment is no longer kept."""

    hint = "Deploy its source again; details.prunedAt says since when."


class NeverLive(InvalidState):
    """This deployment has made nothing that could run."""

    hint = "Choose one with rollbackable: true."


class DeploymentCreate(In, frozen=True, kw_only=True):
    project_id: str
    environment: str = "production"
    branch: Ref | None = None
    """Of the project's git source, or of what was pushed to it where it has none. Neither this nor any of the next
    four: the project's default branch."""
    tag: Ref | None = None
    commit_sha: Sha | None = None
    """May go with the branch it is on."""
    upload_id: str | None = None
    deployment_id: str | None = None
    """Takes its artifact: no build, the environment's variables of now."""
    strategy: Strategy = "rolling"
    message: Annotated[str, Meta(max_length=500)] | None = None
    labels: dict[Annotated[str, Meta(min_length=1, max_length=63)], Annotated[str, Meta(max_length=255)]] = (
        msgspec.field(default_factory=dict[str, str])
    )
    clear_cache: bool = False
    wait_for_approval: bool = False
    """Somebody else approves it first, also where the environment requires no approval."""


class ApprovalInput(In, frozen=True, kw_only=True):
    comment: Annotated[str, Meta(max_length=500)] | None = None


class Redeploy(In, frozen=True, kw_only=True):
    use_cache: bool = True
    refresh_env: bool = True


class Promote(In, frozen=True, kw_only=True):
    environment: str = "production"


class Rollback(In, frozen=True, kw_only=True):
    restore_env: bool = True


class ProjectRollback(In, frozen=True, kw_only=True):
    environment: str = "production"
    deployment_id: str | None = None
    """null: the last success before what is current."""
    restore_env: bool = True


class ProjectRestart(In, frozen=True, kw_only=True):
    environment: str = "production"


class DeploymentQuery(TimeQuery, frozen=True, kw_only=True):
    project_id: str | None = None
    team_id: str | None = None
    environment: str | None = None
    status: list[Status] = []
    status_ne: list[Status] = msgspec.field(default_factory=list, name="status[ne]")
    type: list[Type] = []
    trigger: list[Trigger] = []
    label: list[Label] = []
    created_by: list[str] = []
    branch: Ref | None = None
    commit_sha: Annotated[str, Meta(pattern=r"^[0-9a-f]{7,40}$", max_length=40)] | None = None
    """Its first seven digits, or more."""
    search: Search | None = None
    """Part of the message."""


class StepLogQuery(LogQuery, frozen=True, kw_only=True):
    step: StepName | None = None


class StepQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    step: StepName | None = None


class UploadSource(Out, frozen=True, kw_only=True, tag_field="type", tag="upload"):
    upload_id: str
    sha256: str
    size_bytes: int


class GitSource(Out, frozen=True, kw_only=True, tag_field="type", tag="git"):
    """The project's git source, as it was then."""

    repository_url: str
    branch: str | None
    tag: str | None


class PushSource(Out, frozen=True, kw_only=True, tag_field="type", tag="push"):
    """What was pushed to the project."""

    branch: str | None
    tag: str | None


class OtherDeployment(Out, frozen=True, kw_only=True, tag_field="type", tag="deployment"):
    """Of a redeploy without its source, a promotion, a rollback, a restart: whose artifact it takes."""

    deployment_id: str


DeploymentSource = UploadSource | GitSource | PushSource | OtherDeployment


class Commit(Out, frozen=True, kw_only=True):
    sha: str
    message: str
    """Its first 500 characters."""
    author_name: str
    author_email: str
    committed_at: Timestamp


class Approval(Out, frozen=True, kw_only=True):
    user_id: str
    comment: str | None
    at: Timestamp


class DeploymentArtifact(Out, frozen=True, kw_only=True):
    kind: Literal["release", "static"]
    digest: str
    size_bytes: int
    pruned_at: Timestamp | None


class DeploymentStep(Out, frozen=True, kw_only=True):
    name: StepName
    status: StepStatus
    started_at: Timestamp | None
    finished_at: Timestamp | None
    duration_ms: int | None
    message: str | None


class DeploymentFailure(Out, frozen=True, kw_only=True):
    code: FailureCode
    step: StepName
    message: str
    hint: str
    log_excerpt: list[str]
    doc_url: str


class Deployment(Out, frozen=True, kw_only=True):
    id: str
    team_id: str
    project_id: str
    environment: str
    type: Type
    trigger: Trigger
    status: Status
    source: DeploymentSource
    commit: Commit | None
    """null: no git, or not fetched yet; never another once it is set."""
    artifact: DeploymentArtifact | None
    strategy: Strategy
    message: str | None
    labels: dict[str, str]
    steps: list[DeploymentStep]
    approvals: list[Approval]
    approvals_required: int
    """It is queued once so many others have approved it."""
    failure: DeploymentFailure | None
    url: str | None
    is_current: bool
    rollbackable: bool
    previous_id: str | None
    queue_position: int | None
    estimated_start_at: Timestamp | None
    blocked_by_id: str | None
    cancel_requested_at: Timestamp | None
    lease_expires_at: Timestamp | None
    started_at: Timestamp | None
    finished_at: Timestamp | None
    duration_ms: int | None
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str


class DeploymentEvent(Out, frozen=True, kw_only=True):
    at: Timestamp
    step: StepName | None
    status: Status
    message: str
