"""What a push deploys: the new head of each branch that an environment follows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from cygnid.core import quotas
from cygnid.core.access import Permission
from cygnid.core.db import Read, Tx
from cygnid.core.errors import CygniError, QuotaExceeded
from cygnid.resources.deployments.follow import deploy_head
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.deployments.schemas import Commit, PushSource
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.access import environment_access
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow
from cygnid.resources.repositories import actions as repositories
from cygnid.resources.repositories.queries import PushRow
from cygnid.resources.repositories.schemas import RefUpdate


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one update, in one environment where one follows it."""

    update: RefUpdate
    environment: str | None = None
    deployment: DeploymentRow | None = None
    why: str | None = None
    """No deployment was made."""


async def followers(read: Read, project: ProjectRow, branch: str) -> list[EnvironmentRow]:
    """The environments to which a push to this branch is deployed."""
    if project.source is not None:
        return []
    found = await projects.environments(read, project.id)
    return [each for each in found if each.auto_deploy and project.followed(each) == branch]


async def wanted(read: Read, project: ProjectRow, updates: Sequence[RefUpdate]) -> list[str]:
    """The commits that will be deployed."""
    return [
        update.new
        for update in updates
        if update.branch is not None and not update.removes and await followers(read, project, update.branch)
    ]


async def take_note(
    tx: Tx, push: PushRow, updates: Sequence[RefUpdate], commits: Mapping[str, Commit]
) -> list[Outcome]:
    """Of the updates of a push that git has stored: record them, and deploy what is followed, in the pusher's name."""
    project = await projects.project_for_change(tx, push.project_id)
    if project is None or not updates:
        return []
    await repositories.arrived(tx, push.pusher, project, updates, request_id=push.request_id)
    return [
        outcome for update in updates for outcome in await _outcomes(tx, push, project, update, commits.get(update.new))
    ]


async def _outcomes(
    tx: Tx, push: PushRow, project: ProjectRow, update: RefUpdate, commit: Commit | None
) -> list[Outcome]:
    if update.removes:
        return [Outcome(update=update, why="removed, which deploys nothing")]
    if update.branch is None:
        return [Outcome(update=update, why="stored, which deploys nothing")]
    if project.source is not None:
        why = f"stored, not deployed: {project.name} is deployed from {project.source.repository_url}"
        return [Outcome(update=update, why=why)]
    found = await followers(tx, project, update.branch)
    if not found:
        return [Outcome(update=update, why="stored, not deployed: no environment follows this branch")]
    return [await _outcome(tx, push, project, update, each, commit=commit) for each in found]


async def _outcome(
    tx: Tx,
    push: PushRow,
    project: ProjectRow,
    update: RefUpdate,
    environment: EnvironmentRow,
    *,
    commit: Commit | None,
) -> Outcome:
    assert update.branch is not None
    row, why = None, None
    if project.paused_at is not None:
        return Outcome(update=update, environment=environment.name, why="stored, not deployed: the project is paused")
    try:
        access = await environment_access(tx, push.pusher, project.id, environment.name, Permission.DEPLOYMENTS_WRITE)
        source = PushSource(branch=update.branch, tag=None)
        row = await deploy_head(tx, access, source, update.new, commit=commit, request_id=push.request_id)
        if row is None:
            why = "stored, not deployed: this commit has been deployed there before"
    except CygniError as error:
        why = f"stored, not deployed: {error.message}"
        if isinstance(error, QuotaExceeded):
            await quotas.tell(tx, push.pusher, error, request_id=push.request_id)
    return Outcome(update=update, environment=environment.name, deployment=row, why=why)


def commit_of(told: Mapping[str, str]) -> Commit:
    """As git tells of it; a time that is none is the beginning of time."""
    try:
        at = datetime.fromisoformat(told["committed_at"]).astimezone(UTC)
    except (ValueError, OverflowError):
        at = datetime.fromtimestamp(0, UTC)
    return Commit(
        sha=told["sha"],
        message=told["message"],
        author_name=told["author_name"],
        author_email=told["author_email"],
        committed_at=at,
    )
