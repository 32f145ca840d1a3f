"""What people and programs do to deployments. What a worker does on the way is in `progress.py`."""

import msgspec

from cygnid.core import clock, etag
from cygnid.core.access import Permission
from cygnid.core.db import Tx
from cygnid.core.errors import InUse, InvalidState, NotFound, ValidationError
from cygnid.core.ids import new_id
from cygnid.core.schemas import plain
from cygnid.resources.deployments import progress, queries
from cygnid.resources.deployments import queue as waiting
from cygnid.resources.deployments.access import DeploymentAccess
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.deployments.schemas import (
    ENDS,
    STEPS,
    ArtifactPruned,
    Commit,
    DeploymentCreate,
    DeploymentEvents,
    DeploymentSource,
    GitSource,
    NeverLive,
    OtherDeployment,
    PushSource,
    Strategy,
    Trigger,
    Type,
    UploadSource,
)
from cygnid.resources.env import queries as env
from cygnid.resources.instances import queries as instances
from cygnid.resources.projects import actions as projects
from cygnid.resources.projects.access import EnvironmentAccess, environment_access
from cygnid.resources.projects.queries import ProjectRow
from cygnid.resources.repositories import queries as repositories
from cygnid.resources.uploads import actions as uploads
from cygnid.resources.uploads import queries as upload_queries
from cygnid.source.git_url import is_ref


class New(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment to be."""

    type: Type
    source: DeploymentSource
    strategy: Strategy = "rolling"
    message: str | None = None
    labels: dict[str, str] = {}
    upload_id: str | None = None
    commit_sha: str | None = None
    """Of a git source; None: what its branch or tag is when it is fetched."""
    commit: Commit | None = None
    digest: str | None = None
    fresh: bool = False
    """The cache is not used."""
    env_like: str | None = None
    approvals: int = 0
    """At least so many, whatever the environment requires."""


async def create_deployment(
    tx: Tx, access: EnvironmentAccess, asked: DeploymentCreate, *, trigger: Trigger, request_id: str | None
) -> DeploymentRow:
    """Of what git has, an upload, or another deployment's artifact. Raises ValidationError, InvalidState, NotFound."""
    _require_one(asked)
    if asked.deployment_id is not None:
        other = await _of_project(tx, access, asked.deployment_id)
        new = New(
            type="redeploy",
            source=OtherDeployment(deployment_id=other.id),
            digest=_kept(other),
            strategy=asked.strategy,
            message=asked.message,
            labels=asked.labels,
        )
    elif asked.upload_id is None:
        new = New(
            type="deploy",
            source=await _git_source(tx, access.project, asked),
            commit_sha=asked.commit_sha,
            fresh=asked.clear_cache,
            strategy=asked.strategy,
            message=asked.message,
            labels=asked.labels,
        )
    else:
        source = await _upload(tx, access, asked.upload_id)
        new = New(
            type="deploy",
            source=source,
            upload_id=source.upload_id,
            fresh=asked.clear_cache,
            strategy=asked.strategy,
            message=asked.message,
            labels=asked.labels,
        )
    if asked.wait_for_approval:
        new = msgspec.structs.replace(new, approvals=1)
    return await queue(tx, access, new, trigger=trigger, request_id=request_id)


async def redeploy(
    tx: Tx,
    access: EnvironmentAccess,
    row: DeploymentRow,
    *,
    use_cache: bool,
    refresh_env: bool,
    trigger: Trigger,
    request_id: str | None,
) -> DeploymentRow:
    """The same upload or commit through the build again; that of the deployment whose artifact it took. Its artifact,
    where that is all that is left. Raises NeverLive, ArtifactPruned."""
    origin = await _origin(tx, row)
    new = New(
        type="redeploy",
        source=OtherDeployment(deployment_id=row.id),
        strategy=row.strategy,
        message=row.message,
        labels=row.labels,
        fresh=not use_cache,
        env_like=None if refresh_env else row.id,
    )
    if origin is None:
        new = msgspec.structs.replace(new, digest=_kept(row))
    else:
        new = msgspec.structs.replace(
            new,
            source=origin.source,
            upload_id=origin.upload_id,
            commit_sha=origin.commit_sha,
            commit=origin.commit,
        )
    return await queue(tx, access, new, trigger=trigger, request_id=request_id)


async def rerelease(
    tx: Tx,
    access: EnvironmentAccess,
    row: DeploymentRow,
    kind: Type,
    *,
    env_like: str | None,
    trigger: Trigger,
    request_id: str | None,
) -> DeploymentRow:
    """The artifact of `row` once more, in the environment of `access`, without a build: promotion, rollback, restart.
    Raises ArtifactPruned, NeverLive."""
    if kind in ("promote", "rollback") and not row.was_live:
        raise NeverLive
    if kind == "rollback" and row.is_current:
        raise InvalidState(
            "This deployment is live.", hint=f"To start it again: POST /v1/projects/{row.project_id}/restart."
        )
    if kind == "promote" and row.environment_id == access.environment.id:
        raise InvalidState(
            f"This deployment is of {row.environment} itself.",
            hint="Name another environment, or roll back to it.",
        )
    new = New(
        type=kind,
        source=OtherDeployment(deployment_id=row.id),
        digest=_kept(row),
        strategy=row.strategy,
        message=row.message,
        labels=row.labels,
        env_like=env_like,
    )
    return await queue(tx, access, new, trigger=trigger, request_id=request_id)


async def restart(tx: Tx, access: EnvironmentAccess, *, trigger: Trigger, request_id: str | None) -> DeploymentRow:
    """What is current again, with variables and process settings of now. Raises InvalidState when nothing is."""
    current = access.environment.current_deployment_id
    row = None if current is None else await queries.deployment(tx, current)
    if row is None:
        raise InvalidState(f"{access.environment.name} runs nothing yet.", hint="Deploy first: POST /v1/deployments.")
    pending = await env.is_pending(tx, access.environment) or await _scale_pending(tx, access)
    kind: Type = "configChange" if pending else "restart"
    return await rerelease(tx, access, row, kind, env_like=None, trigger=trigger, request_id=request_id)


async def queue(
    tx: Tx, access: EnvironmentAccess, new: New, *, trigger: Trigger, request_id: str | None
) -> DeploymentRow:
    """Store it, due now, or once it is approved. Raises InvalidState for a paused project, or for a commit that nobody
    knows yet where others must approve it; QuotaExceeded."""
    if access.project.paused_at is not None:
        raise InvalidState(
            "This project is paused.", hint=f"Resume it first: POST /v1/projects/{access.project.id}/resume."
        )
    environment = access.environment
    await waiting.require_quotas(tx, access.team_id, builds=new.digest is None)
    locked = await progress.lock(tx, environment.id)
    deployment_id, now = new_id("dep"), clock.now()
    approvals = max(new.approvals, 0 if locked is None else locked.required_approvals)
    if approvals:
        new = await _settled(tx, access.project, new)
    if new.upload_id is not None:
        await uploads.use(tx, new.upload_id)
    await tx.execute(
        """INSERT INTO deployments (id, project_id, environment_id, environment, type, trigger, status, strategy,
               message, labels, source, upload_id, digest, nonce, env_like, steps, commit_sha, commit, due_at,
               created_at, updated_at, created_by, approvals_required)
           VALUES ($1, $2, $3, $4, $5, $6, CASE $20::int WHEN 0 THEN 'queued' ELSE 'awaitingApproval' END, $7, $8, $9,
               $10, $11, $12, $13, $14, $15, $16, $17, CASE $20::int WHEN 0 THEN now() END, $18, $18, $19, $20)""",
        deployment_id,
        access.project.id,
        environment.id,
        environment.name,
        new.type,
        trigger,
        new.strategy,
        new.message,
        new.labels,
        plain(new.source),
        new.upload_id,
        new.digest,
        deployment_id if new.fresh else "",
        new.env_like,
        plain([progress.pending(name, built=new.digest is not None) for name in STEPS]),
        new.commit_sha,
        plain(new.commit),
        now,
        access.actor.created_by,
        approvals,
    )
    row = await queries.deployment(tx, deployment_id)
    assert row is not None
    await progress.note(
        tx,
        row,
        DeploymentEvents.CREATED,
        "Made" if approvals else "Queued",
        actor=access.actor,
        request_id=request_id,
        after={"type": row.type, "source": plain(row.source), "strategy": row.strategy},
    )
    await projects.set_latest(tx, environment.id, row.id, row.status, row.created_at)
    if approvals:
        message = f"Waits for {approvals} approval{'s' if approvals > 1 else ''}"
        await progress.note(
            tx, row, DeploymentEvents.AWAITING_APPROVAL, message, actor=access.actor, request_id=request_id
        )
    else:
        await progress.enter_queue(tx, row)
    return row


async def cancel(tx: Tx, access: DeploymentAccess, *, request_id: str | None) -> DeploymentRow:
    """At once while it waits; what runs is told and ends `canceled`. Raises InvalidState from `verifying` on."""
    await progress.lock(tx, access.deployment.environment_id)
    row = await queries.deployment(tx, access.deployment.id)
    if row is None:
        raise NotFound
    if row.status == "canceled":
        return row
    if row.status in ENDS or row.status == "verifying":
        raise InvalidState(
            f"A deployment that is {row.status} cannot be canceled.",
            hint=f"To go back, roll back: POST /v1/projects/{row.project_id}/rollback.",
            details={"status": row.status},
        )
    if row.status in ("queued", "awaitingApproval"):
        await progress.end(tx, row, "canceled", "Canceled before it began", actor=access.actor, request_id=request_id)
    else:
        await progress.request_cancel(tx, row)
    found = await queries.deployment(tx, row.id)
    assert found is not None
    return found


async def delete_deployment(tx: Tx, access: DeploymentAccess, *, if_match: int | None, request_id: str | None) -> None:
    """It is shown no more, and its artifact is removed when nothing else needs it. Raises InUse for what is current,
    InvalidState for what has not ended, PreconditionFailed."""
    await progress.lock(tx, access.environment.id)
    row = await queries.deployment(tx, access.deployment.id)
    if row is None:
        raise NotFound
    etag.require(if_match, row.version, queries.shown(row))
    if row.is_current:
        raise InUse("This deployment is live.", hint="Deploy or roll back to another first.")
    if row.status not in ENDS:
        raise InvalidState("This deployment has not ended.", hint="Cancel it first.", details={"status": row.status})
    await tx.execute("UPDATE deployments SET removed_at = $2 WHERE id = $1", row.id, clock.now())
    await progress.note(
        tx, row, DeploymentEvents.DELETED, "Deleted", actor=access.actor, request_id=request_id, timeline=False
    )


async def _scale_pending(tx: Tx, access: EnvironmentAccess) -> bool:
    rows = await instances.live_processes(tx, access.environment.id)
    return any(instances.shown_process(row, access.project).pending for row in rows)


async def _settled(tx: Tx, project: ProjectRow, new: New) -> New:
    """What others approve moves no more: a branch is the commit that it is now. Raises InvalidState."""
    if new.commit_sha is not None or new.digest is not None or isinstance(new.source, UploadSource):
        return new
    if isinstance(new.source, PushSource) and new.source.branch is not None:
        found = await repositories.ref(tx, project.id, branch=new.source.branch, tag=None)
        if found is not None:
            return msgspec.structs.replace(new, commit_sha=found)
    raise InvalidState(
        "Others approve a commit, not whatever a branch or tag will be.", hint="Name it: commitSha, or --commit."
    )


async def _upload(tx: Tx, access: EnvironmentAccess, upload_id: str) -> UploadSource:
    row = await upload_queries.usable(tx, access.actor, upload_id)
    if row is None:
        raise NotFound("There is no such upload.", hint="Create one with POST /v1/uploads and send its content.")
    if row.status != "complete":
        raise InvalidState(
            f"This upload is {row.status}.",
            hint="Send all of its content first: PUT /v1/uploads/{id}/content."
            if row.status != "expired"
            else "Upload the source again.",
            details={"status": row.status, "receivedBytes": row.received_bytes},
        )
    return UploadSource(upload_id=row.id, sha256=row.sha256, size_bytes=row.size_bytes)


async def _of_project(tx: Tx, access: EnvironmentAccess, deployment_id: str) -> DeploymentRow:
    row = await queries.deployment(tx, deployment_id)
    if row is None or row.project_id != access.project.id:
        raise NotFound("The project has no such deployment.", hint="GET /v1/deployments?projectId=… lists them.")
    if row.environment_id != access.environment.id:
        # its build may have had the variables of the environment that it was made for
        await environment_access(
            tx, access.actor, row.project_id, row.environment, Permission.DEPLOYMENTS_WRITE, deleted=True
        )
    return row


def _require_one(asked: DeploymentCreate) -> None:
    """Raises ValidationError for more than one thing to deploy, or a name that is none."""
    given = [
        name
        for name, value in (
            ("tag", asked.tag),
            ("branch" if asked.commit_sha is None else "commitSha", asked.commit_sha or asked.branch),
            ("uploadId", asked.upload_id),
            ("deploymentId", asked.deployment_id),
        )
        if value is not None
    ]
    if asked.branch is not None and given == ["commitSha"]:
        given = ["branch"]
    if len(given) > 1:
        raise ValidationError.one(given[1], f"Give one of {', '.join(given)}", code="not_allowed")
    for name, ref in (("branch", asked.branch), ("tag", asked.tag)):
        if ref is not None and not is_ref(ref):
            raise ValidationError.one(name, f"Is no name that git takes for a {name}")


async def _git_source(tx: Tx, project: ProjectRow, asked: DeploymentCreate) -> GitSource | PushSource:
    """What branch, tag and commit mean for the project: its git source, or what was pushed to it where it has none.
    Raises InvalidState where there is neither."""
    branch, tag = asked.branch, asked.tag
    if branch is None and tag is None and asked.commit_sha is None:
        branch = project.branch
    if project.source is not None:
        return GitSource(repository_url=project.source.repository_url, branch=branch, tag=tag)
    if await repositories.is_empty(tx, project.id):
        raise InvalidState(
            "This project has no git source, and nothing was pushed to it.",
            hint=f'Set {{"source": {{"repositoryUrl": …}}}} by PATCH /v1/projects/{project.id}, or push to its gitUrl.'
            " Or deploy a folder: cygni deploy.",
        )
    if (branch or tag) and await repositories.ref(tx, project.id, branch=branch, tag=tag) is None:
        what = f"branch {branch}" if tag is None else f"tag {tag}"
        raise InvalidState(f"No {what} was pushed to this project.", hint="Push it to the project's gitUrl first.")
    return PushSource(branch=branch, tag=tag)


async def _origin(tx: Tx, row: DeploymentRow) -> DeploymentRow | None:
    """The deployment of an upload or a commit that this one's artifact was made by, however often that was released
    since; None: its source is gone."""
    found = await queries.origin(tx, row)
    if found is not None and isinstance(found.source, UploadSource):
        return found if await upload_queries.complete_upload(tx, found.source.upload_id) is not None else None
    return found


def _kept(row: DeploymentRow) -> str:
    """The digest of its artifact. Raises NeverLive, ArtifactPruned."""
    if row.digest is None or row.artifact_kind is None:
        raise NeverLive
    if row.pruned_at is not None:
        raise ArtifactPruned(details={"prunedAt": clock.text(row.pruned_at)})
    return row.digest
