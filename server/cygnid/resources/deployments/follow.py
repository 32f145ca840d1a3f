"""New commits on the branch that an environment follows: each is deployed once, whoever sees it first."""

from cygnid.core.db import Tx
from cygnid.resources.deployments import actions, progress, queue
from cygnid.resources.deployments.actions import New
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.deployments.schemas import Commit, GitSource, PushSource
from cygnid.resources.projects import actions as projects
from cygnid.resources.projects.access import EnvironmentAccess


async def deploy_head(
    tx: Tx,
    access: EnvironmentAccess,
    source: GitSource | PushSource,
    sha: str,
    *,
    commit: Commit | None = None,
    request_id: str | None = None,
) -> DeploymentRow | None:
    """Deploy `sha`, which is now the head of the branch that the environment follows; None: it was taken note of
    before. As one transaction after the other: callers that see heads at the same time must not be out of date.
    `commit`: what is known of it already. Raises InvalidState for a paused project; QuotaExceeded, and has taken note
    of the commit: it is deployed when somebody asks for it."""
    await queue.lock_quotas(tx, access.team_id)
    environment = await progress.lock(tx, access.environment.id)
    if environment is None or environment.followed_sha == sha:
        return None
    await projects.set_followed(tx, environment.id, sha)
    message = commit.message.partition("\n")[0].strip() if commit is not None else ""
    new = New(type="deploy", source=source, commit_sha=sha, commit=commit, message=message or None)
    return await actions.queue(tx, access, new, trigger="git", request_id=request_id)
