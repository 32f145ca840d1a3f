"""Deployments that others must approve before anything of them begins."""

from datetime import timedelta

from cygnid.core import clock
from cygnid.core.db import Read, Tx
from cygnid.core.errors import Forbidden, InvalidState, NotFound, SelfApproval
from cygnid.resources.deployments import progress, queries
from cygnid.resources.deployments.access import DeploymentAccess
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.deployments.schemas import DeploymentEvents

PATIENCE = timedelta(days=7)
"""After so long it is canceled: nobody remembers what it was for."""


async def approve(tx: Tx, access: DeploymentAccess, *, comment: str | None, request_id: str | None) -> DeploymentRow:
    """Count this user's approval; the last one that is required queues it. Again is the same. Raises SelfApproval for
    its author, Forbidden for who is no user, InvalidState for what waits for none."""
    actor = access.actor
    await progress.lock(tx, access.environment.id)
    row = await queries.deployment(tx, access.deployment.id)
    if row is None:
        raise NotFound
    if actor.user_id is None:
        raise Forbidden("A person approves, not a token of a team.", hint="Use a personal token, or sign in.")
    if any(approval.user_id == actor.user_id for approval in row.approvals):
        return row
    if row.status != "awaitingApproval":
        raise InvalidState(
            f"This deployment is {row.status}: it waits for no approval.", details={"status": row.status}
        )
    if actor.user_id in await _authors(tx, row.created_by):
        raise SelfApproval
    await tx.execute(
        "INSERT INTO approvals (deployment_id, user_id, comment, at) VALUES ($1, $2, $3, $4)",
        row.id,
        actor.user_id,
        comment,
        clock.now(),
    )
    count = len(row.approvals) + 1
    is_last = count >= row.approvals_required
    await tx.execute(
        """UPDATE deployments SET status = CASE WHEN $2 THEN 'queued' ELSE status END,
               due_at = CASE WHEN $2 THEN now() END, updated_at = $3 WHERE id = $1""",
        row.id,
        is_last,
        clock.now(),
    )
    row = await _again(tx, row.id)
    message = f"Approved by {actor.name}, {count} of {row.approvals_required}"
    after = {"userId": actor.user_id, "comment": comment}
    await progress.note(tx, row, DeploymentEvents.APPROVED, message, actor=actor, request_id=request_id, after=after)
    if is_last:
        await progress.note(tx, row, DeploymentEvents.QUEUED, "Queued", actor=actor, request_id=request_id)
        await progress.enter_queue(tx, row)
    return await _again(tx, row.id)


async def expire(tx: Tx) -> None:
    """End those that have waited for too long."""
    old: list[str] = await tx.value(
        """SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM deployments
           WHERE status = 'awaitingApproval' AND created_at < $1""",
        clock.now() - PATIENCE,
    )
    for deployment_id in old:
        found = await queries.deployment(tx, deployment_id)
        if found is None:
            continue
        await progress.lock(tx, found.environment_id)
        row = await queries.deployment(tx, deployment_id)
        if row is not None and row.status == "awaitingApproval":
            await progress.end(tx, row, "canceled", f"Nobody approved it in {PATIENCE.days} days")


async def _authors(read: Read, created_by: str) -> set[str | None]:
    """Whoever made it; of a token, also who made that."""
    maker: str | None = await read.value("SELECT created_by FROM tokens WHERE id = $1", created_by)
    return {created_by, maker}


async def _again(tx: Tx, deployment_id: str) -> DeploymentRow:
    found = await queries.deployment(tx, deployment_id)
    assert found is not None
    return found
