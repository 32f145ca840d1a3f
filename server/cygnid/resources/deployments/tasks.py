"""What follows a deployment: a worker takes it through its steps, and old artifacts are removed."""

import asyncio

from cygnid.backends import Backends
from cygnid.core.changes import Wake
from cygnid.core.db import begin, read
from cygnid.core.reconcile import reconcile
from cygnid.core.work import Claim, Lost, work
from cygnid.resources.deployments import queries
from cygnid.resources.deployments.schemas import ENDS, DeploymentEvents
from cygnid.resources.deployments.steps import course, ends
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.projects import queries as projects


async def give_up(backends: Backends, claim: Claim, why: Lost) -> None:
    """Nobody could bring it to an end: it fails, and what serves goes on serving."""
    attempt = await _load(backends, claim)
    if attempt is None:
        return
    if why is Lost.DEADLINE:
        failed = StepFailed("step_timeout", "The deployment took too long as a whole.", hint="Deploy again.")
    else:
        failed = StepFailed(
            "worker_lost",
            f"The worker was lost in each of {claim.tries - 1} attempts.",
            hint="Deploy again. If it is lost again, `cygnid doctor` and the worker's log say more.",
        )
    await ends.clean_up(attempt)
    if attempt.row.cancel_requested_at is not None:
        await ends.cancel(attempt, "Canceled")
    await ends.fail(attempt, failed)


@work(table="deployments", lost=give_up, max_attempts=3, concurrency=4)
async def run_deployment(backends: Backends, claim: Claim) -> None:
    """From where its row says it is to its end. Waits for nothing that another deployment of the environment holds."""
    attempt = await _load(backends, claim)
    if attempt is None or attempt.row.status in ENDS:
        return
    working = asyncio.create_task(course.run(attempt))
    canceled = asyncio.create_task(_until_cancel(attempt))
    try:
        await asyncio.wait({working, canceled}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return
        canceled.result()
        working.cancel()
        await asyncio.wait({working})
        await ends.clean_up(attempt)
        await ends.cancel(attempt, "Canceled")
    finally:
        for task in (working, canceled):
            task.cancel()
        await asyncio.gather(working, canceled, return_exceptions=True)


async def _load(backends: Backends, claim: Claim) -> Attempt | None:
    async with read(backends.pool) as reader:
        row = await queries.deployment(reader, claim.id)
        project = row and await projects.project(reader, row.project_id)
        environment = row and await projects.environment_by_id(reader, row.environment_id)
    if row is None or project is None or environment is None:
        return None
    return Attempt(
        backends=backends,
        claim=claim,
        row=row,
        project=project,
        environment=environment,
        taken_over=row.status != "queued",
    )


async def _until_cancel(attempt: Attempt) -> None:
    """Returns when somebody wants it to end, which can only be asked for before it switches."""
    with attempt.backends.wakeups.subscribe([Wake.CANCEL]) as woken:
        while True:
            await woken.wait()
            woken.clear()
            async with read(attempt.backends.pool) as reader:
                row = await queries.deployment(reader, attempt.row.id)
            if row is not None and row.cancel_requested_at is not None:
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
