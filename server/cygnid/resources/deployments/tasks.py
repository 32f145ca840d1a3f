"""What follows a deployment: a worker takes it through its steps, and old artifacts are removed."""

import asyncio
import contextlib
from datetime import timedelta

import asyncpg

from cygnid.backends import Backends
from cygnid.core.changes import Wake
from cygnid.core.db import begin, read
from cygnid.core.reconcile import reconcile
from cygnid.core.work import Claim, Lost, work
from cygnid.resources.deployments import progress, queries
from cygnid.resources.deployments.schemas import ENDS, DeploymentEvents
from cygnid.resources.deployments.steps import course, ends
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.env import pins as env
from cygnid.resources.projects import queries as projects


async def give_up(backends: Backends, claim: Claim, why: Lost) -> None:
    """Nobody could bring it to an end: it fails, and what serves goes on serving."""
    attempt = await _load(backends, claim)
    if attempt is None or attempt.row.status in ENDS:
        return
    if why is Lost.DEADLINE:
        failed = StepFailed("step_timeout", "The deployment took too long as a whole.", hint="Deploy again.")
    else:
        failed = StepFailed(
            "worker_lost",
            f"The worker was lost {claim.tries - 1} times while it did this.",
            hint="Deploy again. If it is lost again, `cygnid doctor` and the log of the worker say more.",
        )
    await ends.clean_up(attempt)
    await ends.fail(attempt, failed)


@work(table="deployments", lost=give_up, max_attempts=3, concurrency=4)
async def run_deployment(backends: Backends, claim: Claim) -> timedelta | None:
    """From where its row says it is to its end. Waits for nothing that another deployment of the environment holds."""
    attempt = await _load(backends, claim)
    if attempt is None or attempt.row.status in ENDS:
        return None
    if attempt.row.status == "queued" and not await _leave_queue(attempt):
        return None
    if attempt.claim.attempt > 1:
        await ends.clean_up(attempt)
    working = asyncio.ensure_future(course.run(attempt))
    canceled = asyncio.create_task(_until_cancel(attempt))
    try:
        await asyncio.wait({working, canceled}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return None
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await ends.clean_up(attempt)
        await ends.cancel(attempt)
    finally:
        for task in (working, canceled):
            task.cancel()
        await asyncio.gather(working, canceled, return_exceptions=True)
    return None


async def _load(backends: Backends, claim: Claim) -> Attempt | None:
    async with read(backends.pool) as reader:
        row = await queries.deployment(reader, claim.id)
        if row is None:
            return None
        project = await projects.project(reader, row.project_id)
        environment = await projects.environment_by_id(reader, row.environment_id)
    assert project is not None
    assert environment is not None
    return Attempt(backends=backends, claim=claim, row=row, project=project, environment=environment)


async def _leave_queue(attempt: Attempt) -> bool:
    """False: another holds the environment; its end makes this one due again."""
    row = attempt.row
    try:
        async with attempt.begin() as tx:
            if await queries.running(tx, attempt.environment.id) is not None:
                return False
            current = await queries.deployment(tx, row.id)
            if current is None or current.status != "queued":
                return False
            warnings = await env.pin(tx, attempt.environment, row.id, like=row.env_like)
            await tx.execute(
                "UPDATE deployments SET previous_id = $2, deadline_at = now() + $3 WHERE id = $1",
                row.id,
                attempt.environment.current_deployment_id,
                timedelta(seconds=attempt.backends.settings.deployment_timeout_seconds),
            )
            for warning in warnings:
                await progress.line(tx, row, warning.message, step=None)
            attempt.row = current
            if current.digest is None:
                await course.begin_build(tx, attempt, "Building")
            else:
                await course.begin_release(tx, attempt)
    except asyncpg.UniqueViolationError:
        return False
    return True


async def _until_cancel(attempt: Attempt) -> None:
    """Returns when somebody wants it to end and it has not begun to switch."""
    with attempt.backends.wakeups.subscribe([Wake.CANCEL]) as woken:
        while True:
            await woken.wait()
            woken.clear()
            async with read(attempt.backends.pool) as reader:
                row = await queries.deployment(reader, attempt.row.id)
            if row is not None and row.cancel_requested_at is not None and row.status != "verifying":
                return


@reconcile(on=[DeploymentEvents.SUCCESS, DeploymentEvents.DELETED], minutes=60)
async def prune_artifacts(backends: Backends) -> None:
    """Remove what nobody can roll back to any more. The row says so first: a deployment that begins meanwhile fails
    plainly instead of running half a release."""
    settings = backends.settings
    async with read(backends.pool) as reader:
        rows = await queries.prunable(reader, keep=settings.keep_artifacts, days=settings.keep_artifact_days)
    for row in rows:
        async with begin(backends.pool) as tx:
            await tx.execute(
                "UPDATE artifacts SET pruned_at = now() WHERE project_id = $1 AND digest = $2 AND pruned_at IS NULL",
                row.project_id,
                row.digest,
            )
        await backends.builder.remove(row.project_id, row.digest)
