"""The way of a deployment through its steps, from whatever status it is found in."""

import asyncio
import errno

from cygnid.core.changes import Wake
from cygnid.core.db import Read, Tx, read
from cygnid.core.work import LeaseLost
from cygnid.resources.deployments import progress, queries
from cygnid.resources.deployments.schemas import DeploymentEvents, StepName
from cygnid.resources.deployments.steps import build, ends, health, release, source, switch
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.instances import actions as instances
from cygnid.resources.instances import queries as instance_queries
from cygnid.resources.projects import actions as projects
from cygnid.resources.routes import queries as routes

_STOP_SECONDS = 60.0


class _CanceledFirst(Exception):
    """Somebody asked for the end before the switch began."""


async def run(attempt: Attempt) -> None:
    """To its end. Raises LeaseLost, and what is not the deployment's own fault: that may be tried again."""
    try:
        if attempt.row.cancel_requested_at is not None and attempt.row.status != "verifying":
            raise _CanceledFirst
        if attempt.row.status == "building":
            await _build(attempt)
        if attempt.row.status == "releasing":
            await _release(attempt)
        if attempt.row.status == "deploying":
            await _deploy(attempt)
        await _verify(attempt)
    except _CanceledFirst:
        await ends.clean_up(attempt)
        await ends.cancel(attempt)
    except StepFailed as failed:
        await ends.clean_up(attempt)
        await ends.fail(attempt, failed)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        await ends.clean_up(attempt)
        hint = "Remove what is not needed, or ask whoever runs this machine, then deploy again."
        await ends.fail(attempt, StepFailed("disk_full", "The machine's disk is full.", hint=hint))


async def begin_build(tx: Tx, attempt: Attempt, message: str) -> None:
    """Into `building`, from the queue or again after a worker was lost."""
    for step in ("source", "build"):
        await attempt.open_log(tx, step)
    steps = [progress.pending(step) if step.name == "build" else step for step in attempt.started("source")]
    await attempt.move(tx, "building", message, steps=steps, step="source")


async def begin_release(tx: Tx, attempt: Attempt) -> None:
    """The artifact is there: into `releasing` when it has a release command, else into `deploying`."""
    artifact = await _artifact(tx, attempt)
    if artifact.kind == "release" and release.command_of(attempt, artifact.decided()) is not None:
        steps = attempt.started("release")
        await attempt.move(tx, "releasing", "Running the release command", steps=steps, step="release")
    else:
        await _begin_deploy(tx, attempt)


async def _begin_deploy(tx: Tx, attempt: Attempt) -> None:
    if attempt.row.strategy == "recreate":
        await instances.retire(tx, attempt.environment.id, but=attempt.row.id, drain=False)
    else:
        await _want(tx, attempt)
    ran = attempt.step("release").status == "running"
    steps = attempt.ended("release", then="start") if ran else attempt.started("start")
    await attempt.move(tx, "deploying", "Starting", steps=steps, step="start")


async def _want(tx: Tx, attempt: Attempt) -> None:
    artifact = await _artifact(tx, attempt)
    await instances.want(tx, await release.release_spec(tx, attempt, artifact, artifact.decided()))


async def _build(attempt: Attempt) -> None:
    if attempt.claim.attempt > 1:
        async with attempt.begin() as tx:
            await begin_build(tx, attempt, "Building again: the worker was lost")
    try:
        fetched = await source.fetch_source(attempt)
        async with attempt.begin() as tx:
            await attempt.store_steps(tx, attempt.ended("source", message=fetched.message, then="build"))
            await attempt.close_logs(tx, "source")
        artifact = await build.build_artifact(attempt, fetched.tree)
    finally:
        await source.remove_trees(attempt)
    async with attempt.begin() as tx:
        await build.keep_artifact(tx, attempt, artifact)
        await attempt.store_steps(tx, attempt.ended("build", message=build.told(artifact)))
        await attempt.close_logs(tx, "build")
        await begin_release(tx, attempt)


async def _release(attempt: Attempt) -> None:
    async with read(attempt.backends.pool) as reader:
        artifact = await _artifact(reader, attempt)
    plan = artifact.decided()
    if attempt.row.released_attempt is not None:
        raise StepFailed(
            "release_command_interrupted",
            "The worker was lost while the release command ran; it is never run twice.",
            hint="See what it has done already, then deploy again.",
        )
    if (command := release.command_of(attempt, plan)) is not None:
        async with attempt.begin() as tx:
            await release.begin_command(tx, attempt)
        await release.run_command(attempt, artifact, plan, command)
    async with attempt.begin() as tx:
        await attempt.close_logs(tx, "release")
        await _begin_deploy(tx, attempt)


async def _deploy(attempt: Attempt) -> None:
    if attempt.row.strategy == "recreate":
        await _wait_until_others_stopped(attempt)
    if attempt.row.strategy == "recreate" or attempt.claim.attempt > 1:
        # a lost worker's instances may be anywhere between made and healthy: they are judged anew
        async with attempt.begin() as tx:
            await _want(tx, attempt)
    async with read(attempt.backends.pool) as reader:
        stored = await instance_queries.release(reader, attempt.row.id)
    assert stored is not None
    if stored.processes:
        await health.wait_until_started(attempt)
        async with attempt.begin() as tx:
            await attempt.store_steps(tx, attempt.ended("start", then="health"))
        healthy = await health.wait_until_healthy(attempt, stored.processes)
        async with attempt.begin() as tx:
            for instance_id in healthy:
                await instances.set_healthy(tx, instance_id)
            await _begin_switch(tx, attempt, "health")
    else:
        async with attempt.begin() as tx:
            await _begin_switch(tx, attempt, "start")


async def _begin_switch(tx: Tx, attempt: Attempt, after: StepName) -> None:
    current = await _reload(tx, attempt)
    if current.cancel_requested_at is not None:
        raise _CanceledFirst
    await switch.point_routes(tx, attempt, attempt.row.id)
    status = "success" if after == "health" else "skipped"
    await attempt.move(
        tx, "verifying", "Switching", steps=attempt.ended(after, status=status, then="switch"), step="switch"
    )


async def _verify(attempt: Attempt) -> None:
    async with read(attempt.backends.pool) as reader:
        version = (await routes.versions(reader)).wanted
        stored = await instance_queries.release(reader, attempt.row.id)
    assert stored is not None
    await switch.wait_until_published(attempt, version)
    said = await switch.wait_for_answer(attempt, stored)
    async with attempt.begin() as tx:
        await instances.go_live(tx, attempt.row.id)
        await projects.set_current(tx, attempt.environment.id, attempt.row.id)
        row = await progress.end(tx, attempt.row, "success", said, steps=attempt.ended("switch", message=said))
        if row.type == "promote":
            await progress.note(tx, row, DeploymentEvents.PROMOTED, "Promoted", timeline=False)
        if row.type == "rollback":
            await progress.note(tx, row, DeploymentEvents.ROLLED_BACK, "Rolled back", timeline=False)
    attempt.row = row


async def _wait_until_others_stopped(attempt: Attempt) -> None:
    with attempt.backends.wakeups.subscribe([Wake.INSTANCES]) as woken:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                while True:
                    woken.clear()
                    async with read(attempt.backends.pool) as reader:
                        if not await instance_queries.others_run(reader, attempt.environment.id, attempt.row.id):
                            return
                    await woken.wait()
        except TimeoutError as error:
            raise StepFailed(
                "step_timeout",
                "What ran before could not be stopped in time.",
                hint="`cygnid doctor` says how this machine and its worker are.",
            ) from error


async def _artifact(reader: Read, attempt: Attempt) -> queries.ArtifactRow:
    assert attempt.row.digest is not None
    found = await queries.artifact(reader, attempt.project.id, attempt.row.digest)
    if found is None or found.pruned_at is not None:
        raise StepFailed("source_unavailable", "The artifact is no longer kept.", hint="Deploy its source again.")
    return found


async def _reload(tx: Tx, attempt: Attempt) -> queries.DeploymentRow:
    row = await queries.deployment(tx, attempt.row.id)
    if row is None:
        raise LeaseLost
    return row
