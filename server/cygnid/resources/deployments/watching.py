"""Sources that cannot tell us of new commits are asked for them: each head is deployed where it is followed, once."""

import random
from collections.abc import Sequence
from datetime import timedelta

from cygnid.backends import Backends
from cygnid.core import changes, quotas
from cygnid.core.changes import Wake
from cygnid.core.db import Read, Tx, begin, read
from cygnid.core.errors import QuotaExceeded
from cygnid.core.reconcile import reconcile
from cygnid.core.work import Claim, Lost, work
from cygnid.resources.connections import actions as connections
from cygnid.resources.deployments import follow, progress, queries
from cygnid.resources.deployments.schemas import GitSource
from cygnid.resources.deployments.steps.remote import remote
from cygnid.resources.logs import actions as logs
from cygnid.resources.projects import actions as project_actions
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.access import platform_access
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow
from cygnid.resources.projects.schemas import EnvironmentEvent, ProjectEvent
from cygnid.source.base import Heads, SourceInvalid, SourceUnavailable

_LONGEST = timedelta(hours=1)
_SOON = timedelta(seconds=5)
"""While a deployment has yet to find out which commit it is of."""
_DOUBLINGS = 10


@reconcile(
    on=[
        ProjectEvent.CREATED,
        ProjectEvent.UPDATED,
        ProjectEvent.DELETED,
        ProjectEvent.RESTORED,
        ProjectEvent.PAUSED,
        ProjectEvent.RESUMED,
        EnvironmentEvent.CREATED,
        EnvironmentEvent.UPDATED,
        EnvironmentEvent.DELETED,
        EnvironmentEvent.RESTORED,
    ],
    minutes=10,
)
async def watch_sources(backends: Backends) -> None:
    """Every project of which some environment follows a branch of its git source is looked at, no other is; one that
    was changed since the last look, at once."""
    async with begin(backends.pool) as tx:
        following = await queries.following(tx)
        await tx.execute("DELETE FROM git_watches WHERE id <> ALL ($1)", following)
        added = await tx.execute(
            "INSERT INTO git_watches (id, due_at) SELECT unnest($1::text[]), now() ON CONFLICT DO NOTHING", following
        )
        sooner = await tx.execute(
            """UPDATE git_watches w SET due_at = now() FROM projects p JOIN environments e ON e.project_id = p.id
               WHERE p.id = w.id AND w.due_at > now() AND w.looked_at < greatest(p.updated_at, e.updated_at)"""
        )
        if added or sooner:
            await changes.wake(tx, Wake.DUE)


async def postpone(backends: Backends, claim: Claim, why: Lost) -> None:
    """Nobody could look: later again."""
    async with begin(backends.pool) as tx:
        await claim.fence(tx)
        await tx.execute("UPDATE git_watches SET due_at = now() + $2 WHERE id = $1", claim.id, _LONGEST)


@work(table="git_watches", lost=postpone, max_attempts=3, concurrency=4)
async def look(backends: Backends, claim: Claim) -> timedelta | None:
    """One question for all branches that the project's environments follow."""
    async with read(backends.pool) as reader:
        project, followers = await _followers(reader, claim.id)
        if project is None or project.source is None or not followers:
            return None
        repository = await remote(reader, backends.secrets, project, project.source.repository_url)
    branches = {branch for environment in followers if (branch := project.followed(environment)) is not None}
    try:
        heads = await backends.source.heads(repository, branches, name=f"look.{project.id}")
    except (SourceInvalid, SourceUnavailable) as error:
        return await _failed(backends, claim, project, f"{error.message} {error.hint}".strip())
    if missing := sorted(branches - heads.shas.keys()):
        why = f"The repository has no branch {', '.join(missing)}, which is followed."
        return await _failed(backends, claim, project, why, heads=heads)
    async with begin(backends.pool) as tx:
        await claim.fence(tx)
        is_settled = await _take(tx, project, heads)
        if await tx.value("SELECT error FROM git_watches WHERE id = $1", project.id) is not None:
            await logs.system_line(tx, project.id, None, "The git source answers again.")
        await tx.execute(
            "UPDATE git_watches SET failures = 0, error = NULL, looked_at = now() WHERE id = $1", project.id
        )
    return _jittered(_every(backends) if is_settled else min(_SOON, _every(backends)))


async def _take(tx: Tx, looked: ProjectRow, heads: Heads) -> bool:
    """Deploy what is new, in every environment that follows it now. False: one of them is not decided yet."""
    project, followers = await _followers(tx, looked.id)
    if project is None or project.source is None or project.source != looked.source:
        return False
    if heads.known_hosts and project.source.connection_id is not None:
        await connections.keep_known_hosts(tx, project.source.connection_id, heads.known_hosts)
    is_settled = True
    for environment in followers:
        branch = project.followed(environment)
        sha = heads.shas.get(branch or "")
        if sha is None or sha == environment.followed_sha:
            continue
        if await queries.is_resolving(tx, environment.id, branch):
            is_settled = False
            continue
        source = GitSource(repository_url=project.source.repository_url, branch=branch, tag=None)
        access = platform_access(project, environment)
        if environment.protected and not environment.required_approvals:
            await _leave(tx, project, environment, sha)
            continue
        try:
            await follow.deploy_head(tx, access, source, sha)
        except QuotaExceeded as error:
            await quotas.tell(tx, access.actor, error)
            message = f"{sha[:7]} is not deployed: {error.message} {error.hint}"
            await logs.system_line(tx, project.id, environment.name, message, level="warn")
    return is_settled


async def _leave(tx: Tx, project: ProjectRow, environment: EnvironmentRow, sha: str) -> None:
    """Whoever may write to the repository is nobody whom the environment knows."""
    locked = await progress.lock(tx, environment.id)
    if locked is None or locked.followed_sha == sha:
        return
    await project_actions.set_followed(tx, environment.id, sha)
    message = f"{sha[:7]} is not deployed by itself: {environment.name} is protected, and no approvals are required."
    await logs.system_line(tx, project.id, environment.name, message, level="warn")


async def _failed(
    backends: Backends, claim: Claim, project: ProjectRow, why: str, *, heads: Heads | None = None
) -> timedelta:
    """Say so in the project's log, once; and look less often the longer it lasts. What was found is taken all the
    same."""
    async with begin(backends.pool) as tx:
        await claim.fence(tx)
        if heads is not None:
            await _take(tx, project, heads)
        before = await tx.value("SELECT error FROM git_watches WHERE id = $1", project.id)
        if before != why:
            message = f"The git source cannot be looked at for new commits: {why}"
            await logs.system_line(tx, project.id, None, message, level="warn")
        failures: int = await tx.value(
            """UPDATE git_watches SET failures = failures + 1, error = $2, looked_at = now() WHERE id = $1
               RETURNING failures""",
            project.id,
            why,
        )
    return _jittered(min(_every(backends) * 2 ** min(failures, _DOUBLINGS), max(_LONGEST, _every(backends))))


async def _followers(read: Read, project_id: str) -> tuple[ProjectRow | None, Sequence[EnvironmentRow]]:
    project = await projects.project(read, project_id)
    if project is None or project.status != "active":
        return None, ()
    environments = await projects.environments(read, project_id)
    return project, [row for row in environments if row.auto_deploy and project.followed(row) is not None]


def _every(backends: Backends) -> timedelta:
    return timedelta(seconds=backends.settings.git_poll_seconds)


def _jittered(pause: timedelta) -> timedelta:
    """Those that were begun together do not stay together."""
    return pause * random.uniform(0.9, 1.1)  # noqa: S311  no secret
