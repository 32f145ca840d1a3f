"""How a deployment's row goes on: every status it takes is recorded, in its timeline and for everybody who listens."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from cygnid.core import changes, clock
from cygnid.core.actors import SYSTEM, Actor
from cygnid.core.changes import Wake
from cygnid.core.db import Tx
from cygnid.core.schemas import plain
from cygnid.resources.deployments import queries, queue
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.deployments.schemas import (
    DeploymentEvents,
    DeploymentFailure,
    DeploymentStep,
    Status,
    StepName,
    StepStatus,
)
from cygnid.resources.projects import actions as projects
from cygnid.resources.projects import queries as project_queries
from cygnid.resources.projects.queries import EnvironmentRow


async def lock(tx: Tx, environment_id: str) -> EnvironmentRow | None:
    """Whoever changes what waits or runs in an environment does so one after the other: before anything else of it is
    locked. None: it was purged."""
    return await project_queries.environment_for_change(tx, environment_id)


async def note(
    tx: Tx,
    row: DeploymentRow,
    event: DeploymentEvents,
    message: str,
    *,
    step: StepName | None = None,
    actor: Actor = SYSTEM,
    request_id: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    timeline: bool = True,
) -> None:
    """Record what happened to the deployment; `row` as it is now."""
    await changes.record(
        tx,
        actor,
        event,
        changes.Subject(
            type="deployment",
            id=row.id,
            name=None,
            team_id=row.team_id,
            project_id=row.project_id,
            environment=row.environment,
        ),
        before=before,
        after=after,
        data={
            "environment": row.environment,
            "type": row.type,
            "status": row.status,
            "url": row.url,
            "failureCode": row.failure and row.failure.code,
        },
        request_id=request_id,
    )
    if timeline:
        await line(tx, row, message, step=step)


async def line(tx: Tx, row: DeploymentRow, message: str, *, step: StepName | None) -> None:
    """Another line of the timeline."""
    await tx.execute(
        "INSERT INTO deployment_events (deployment_id, at, step, status, message) VALUES ($1, $2, $3, $4, $5)",
        row.id,
        clock.now(),
        step,
        row.status,
        message,
    )


async def move(
    tx: Tx, row: DeploymentRow, status: Status, message: str, *, steps: list[DeploymentStep], step: StepName
) -> DeploymentRow:
    """Into a status of work, with its steps as they are now. Behind the claim's fence."""
    now = clock.now()
    await tx.execute(
        """UPDATE deployments SET status = $2, steps = $3, started_at = coalesce(started_at, $4), updated_at = $4
           WHERE id = $1""",
        row.id,
        status,
        plain(steps),
        now,
    )
    moved = await _again(tx, row)
    await note(
        tx, moved, DeploymentEvents(f"deployment.{status}"), message, step=step, before={"status": row.status},
        after={"status": status},
    )  # fmt: skip
    await projects.set_latest(tx, row.environment_id, row.id, status, row.created_at)
    return moved


async def store_steps(tx: Tx, row: DeploymentRow, steps: list[DeploymentStep]) -> DeploymentRow:
    await tx.execute(
        "UPDATE deployments SET steps = $2, updated_at = $3 WHERE id = $1",
        row.id,
        plain(steps),
        clock.now(),
    )
    return await _again(tx, row)


async def end(
    tx: Tx,
    row: DeploymentRow,
    status: Status,
    message: str,
    *,
    steps: list[DeploymentStep] | None = None,
    failure: DeploymentFailure | None = None,
    actor: Actor = SYSTEM,
    request_id: str | None = None,
) -> DeploymentRow:
    """Its last status: nothing of it is due any more, and what waits in the environment is."""
    now = clock.now()
    if row.status == "building" and row.started_at is not None:
        await queue.add_build(tx, row.team_id, row.started_at)
    await tx.execute(
        """UPDATE deployments SET status = $2, steps = $3, failure = $4, finished_at = $5, updated_at = $5,
               was_live = was_live OR $2 = 'success', due_at = NULL, deadline_at = NULL
           WHERE id = $1""",
        row.id,
        status,
        plain(closed(row.steps if steps is None else steps, status)),
        None if failure is None else plain(failure),
        now,
    )
    ended = await _again(tx, row)
    await note(
        tx,
        ended,
        DeploymentEvents(f"deployment.{status}"),
        message,
        step=failure and failure.step,
        actor=actor,
        request_id=request_id,
        before={"status": row.status},
        after={"status": status} if failure is None else {"status": status, "failureCode": failure.code},
    )
    await projects.set_latest(tx, row.environment_id, row.id, status, row.created_at)
    await tx.execute(
        "UPDATE deployments SET due_at = now() WHERE environment_id = $1 AND status = 'queued'", row.environment_id
    )
    await changes.wake(tx, Wake.DUE)
    await changes.wake(tx, Wake.BUILDS)
    return ended


async def enter_queue(tx: Tx, row: DeploymentRow) -> None:
    """It is queued from now on: older ones that wait are superseded; a rollback cancels one that runs and is not yet
    switching."""
    await _supersede_older(tx, row)
    if row.type == "rollback" and (holding := await queries.running(tx, row.environment_id)) is not None:
        other = await queries.deployment(tx, holding)
        if other is not None and other.status != "verifying":
            await request_cancel(tx, other)
    await changes.wake(tx, Wake.DUE)


async def request_cancel(tx: Tx, row: DeploymentRow) -> None:
    """Whoever runs it is told."""
    await tx.execute(
        """UPDATE deployments SET cancel_requested_at = coalesce(cancel_requested_at, $2), updated_at = $2,
               due_at = coalesce(due_at, now()) WHERE id = $1""",
        row.id,
        clock.now(),
    )
    await changes.wake(tx, Wake.CANCEL)
    await changes.wake(tx, Wake.DUE)


async def _supersede_older(tx: Tx, row: DeploymentRow) -> None:
    """A newer one makes those that still wait pointless."""
    older: list[str] = await tx.value(
        """SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM deployments
           WHERE environment_id = $1 AND status IN ('awaitingApproval', 'queued') AND id < $2""",
        row.environment_id,
        row.id,
    )
    for identifier in older:
        found = await queries.deployment(tx, identifier)
        assert found is not None
        await end(tx, found, "superseded", f"Superseded by {row.id}")


async def prune(tx: Tx, project_id: str, *, keep: int, days: int) -> list[str]:
    """Say that nothing may take these artifacts any more; what is to be removed from the disk. Nothing while a build
    of the project runs, since it may be about to take one again: it waits likewise (`queries.is_pruning`)."""
    for environment in await project_queries.environments(tx, project_id):
        await lock(tx, environment.id)
    if await queries.is_building(tx, project_id):
        return []
    digests = [row.digest for row in await queries.prunable(tx, keep=keep, days=days, project_id=project_id)]
    await tx.execute(
        "UPDATE artifacts SET pruned_at = $3 WHERE project_id = $1 AND digest = ANY($2) AND pruned_at IS NULL",
        project_id,
        digests,
        clock.now(),
    )
    return digests


async def prune_unknown(tx: Tx, project_id: str, digests: list[str]) -> list[str]:
    """Which of these, that lie on the disk, no row tells of: a worker was lost after a build had made one. From here on
    a row says that nothing may take it; it goes when it is removed. Nothing while a build of the project runs, which
    may have made one just now, and nothing for a project that was purged."""
    for environment in await project_queries.environments(tx, project_id):
        await lock(tx, environment.id)
    if await queries.is_building(tx, project_id):
        return []
    return await tx.value(
        """WITH noted AS (
               INSERT INTO artifacts (project_id, digest, kind, path, size_bytes, plan, mounts, env, created_at,
                   pruned_at)
               SELECT p.id, found.digest, 'release', '', 0, '{}', '[]', '{}', $3, $3
               FROM projects p, unnest($2::text[]) AS found (digest) WHERE p.id = $1
               ON CONFLICT (project_id, digest) DO UPDATE SET pruned_at = $3, removed_at = NULL
                   WHERE artifacts.removed_at IS NOT NULL
               RETURNING digest)
           SELECT coalesce(array_agg(digest), '{}') FROM noted""",
        project_id,
        digests,
        clock.now(),
    )


async def note_removed(tx: Tx, project_id: str, digest: str) -> None:
    await tx.execute(
        "DELETE FROM artifacts WHERE project_id = $1 AND digest = $2 AND pruned_at IS NOT NULL AND path = ''",
        project_id,
        digest,
    )
    await tx.execute(
        """UPDATE artifacts SET removed_at = $3
           WHERE project_id = $1 AND digest = $2 AND pruned_at IS NOT NULL AND removed_at IS NULL""",
        project_id,
        digest,
        clock.now(),
    )


def closed(steps: list[DeploymentStep], status: Status) -> list[DeploymentStep]:
    """The steps of a deployment that has ended: none is pending or running."""
    ending: StepStatus = "success" if status == "success" else "failed" if status == "failed" else "canceled"
    return [stepped(step, {"pending": "skipped", "running": ending}.get(step.status)) for step in steps]


def stepped(step: DeploymentStep, status: Any) -> DeploymentStep:
    """The step in this status from now on; None: it stays."""
    now = clock.now()
    match status:
        case None:
            return step
        case "running":
            return msgspec.structs.replace(
                step, status=status, started_at=now, finished_at=None, duration_ms=None, message=None
            )
        case "pending" | "skipped":
            return msgspec.structs.replace(
                step, status=status, started_at=None, finished_at=None, duration_ms=None, message=step.message
            )
        case _:
            # an answer's times are text, also in a step that was just made
            began = now if step.started_at is None else datetime.fromisoformat(str(step.started_at))
            spent = max(0, round((now - began).total_seconds() * 1000))
            return msgspec.structs.replace(step, status=status, started_at=began, finished_at=now, duration_ms=spent)


def pending(name: StepName, *, built: bool) -> DeploymentStep:
    """A step before anything of it began. `built`: the artifact is there."""
    skipped = built and name in ("source", "build")
    return DeploymentStep(
        name=name,
        status="skipped" if skipped else "pending",
        started_at=None,
        finished_at=None,
        duration_ms=None,
        message="The artifact is there already" if skipped and name == "build" else None,
    )


async def _again(tx: Tx, row: DeploymentRow) -> DeploymentRow:
    found = await queries.deployment(tx, row.id)
    assert found is not None
    return found
