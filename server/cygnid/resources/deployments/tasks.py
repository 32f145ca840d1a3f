"""What follows a deployment: a worker takes it through its steps, and old artifacts are removed."""

import asyncio
from datetime import timedelta

from cygnid.backends import Backends
from cygnid.core import changes
from cygnid.core.changes import Wake
from cygnid.core.db import begin, read
from cygnid.core.reconcile import reconcile
from cygnid.core.work import Claim, Lost, work
from cygnid.resources.deployments import approvals, progress, queries, queue
from cygnid.resources.deployments.schemas import ENDS, DeploymentEvents
from cygnid.resources.deployments.steps import course, ends
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.projects import queries as projects
from cygnid.resources.uploads import actions as uploads


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


# The places of builds are few, and given out by `queue`: what else a deployment does is mostly waiting.
@work(table="deployments", lost=give_up, max_attempts=3, concurrency=32)
async def run_deployment(backends: Backends, claim: Claim) -> timedelta | None:
    """From where its row says it is to its end. Waits for nothing that another deployment of the environment holds."""
    attempt = await _load(backends, claim)
    if attempt is None or attempt.row.status in ENDS:
        return None
    working = asyncio.create_task(course.run(attempt))
    canceled = asyncio.create_task(_until_cancel(attempt))
    try:
        await asyncio.wait({working, canceled}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        canceled.result()
        working.cancel()
        await asyncio.wait({working})
        await ends.clean_up(attempt)
        await ends.cancel(attempt, "Canceled")
        return None
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


@reconcile(on=[Wake.BUILDS], minutes=1)
async def admit_builds(backends: Backends) -> None:
    """Give free places to the builds whose turn it is: they are looked at again."""
    async with begin(backends.pool) as tx:
        await queue.say_slots(tx, backends.settings.build_slots)
        found = await queue.places(tx)
        admitted = [deployment_id for deployment_id, place in found.items() if place.may_start]
        # also those that a worker holds just now: it may have looked before there was a place
        if await tx.execute("UPDATE deployments SET due_at = now() WHERE id = ANY($1) AND status = 'queued'", admitted):
            await changes.wake(tx, Wake.DUE)


@reconcile(on=[], minutes=60)
async def expire_approvals(backends: Backends) -> None:
    """What nobody approves is canceled."""
    async with begin(backends.pool) as tx:
        await approvals.expire(tx)


@reconcile(on=[DeploymentEvents.SUCCESS, DeploymentEvents.DELETED], minutes=60)
async def prune_artifacts(backends: Backends) -> None:
    """Remove what nobody can roll back to any more, and the uploads it was made of. The row says so first, so that no
    deployment takes it meanwhile."""
    settings = backends.settings
    keep, days = settings.keep_artifacts, settings.keep_artifact_days
    async with read(backends.pool) as reader:
        rows = await queries.prunable(reader, keep=keep, days=days)
    for project_id in dict.fromkeys(row.project_id for row in rows):
        async with begin(backends.pool) as tx:
            digests = await progress.prune(tx, project_id, keep=keep, days=days)
        for digest in digests:
            await backends.builder.remove(project_id, digest)
            async with begin(backends.pool) as tx:
                await progress.note_removed(tx, project_id, digest)
    async with begin(backends.pool) as tx:
        await uploads.let_go(tx, await queries.needless_uploads(tx, days=days))
