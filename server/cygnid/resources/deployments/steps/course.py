"""The way of a deployment through its steps, from whatever status it is found in."""

import asyncio
import errno
import logging
from datetime import timedelta

from cygnid.core import changes
from cygnid.core.changes import Wake
from cygnid.core.db import AWAY, Read, Tx, read
from cygnid.core.errors import QuotaExceeded
from cygnid.core.work import LeaseLost
from cygnid.resources.deployments import progress, queries, queue
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.deployments.schemas import DeploymentEvents, DeploymentStep
from cygnid.resources.deployments.steps import build, ends, health, release, source, switch, variables
from cygnid.resources.deployments.steps.attempt import Attempt, Halted, StepFailed
from cygnid.resources.env import pins as env
from cygnid.resources.instances import actions as instances
from cygnid.resources.instances import queries as instance_queries
from cygnid.resources.projects import actions as projects
from cygnid.resources.routes import queries as routes

_STOP_SECONDS = 60.0
_PRUNING = timedelta(seconds=0.2)
"""How long a build waits, again and again, while an artifact of its project is being removed."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
log = logging.getLogger("cygnid.deployments")


async def run(attempt: Attempt) -> timedelta | None:
    """To its end; None, or when it is to be tried again. Raises LeaseLost, and what the database raises while it is
    away."""
    try:
        try:
            return await _through_its_steps(attempt)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            hint = "Remove what is not needed, or ask whoever runs this machine, then deploy again."
            raise StepFailed("disk_full", "The machine's disk is full.", hint=hint) from error
    except Halted as halted:
        await ends.clean_up(attempt)
        await ends.cancel(attempt, str(halted))
    except StepFailed as failed:
        await ends.clean_up(attempt)
        await ends.fail(attempt, failed)
    except (LeaseLost, *AWAY):
        raise
    except Exception:
        log.exception("deployment %s failed, which is no fault of its own", attempt.row.id)
        await ends.clean_up(attempt)
        hint = "Deploy again. If it stays, whoever runs this installation finds its id in the worker's log."
        await ends.fail(attempt, StepFailed("internal", "Something failed on our side.", hint=hint))
    return None


async def _through_its_steps(attempt: Attempt) -> timedelta | None:
    if attempt.row.status == "queued":
        pause = await _leave_queue(attempt)
        if pause is not None or attempt.row.status == "queued":
            return pause
    if attempt.taken_over:
        await ends.clean_up(attempt)
    if attempt.row.status != "verifying":
        attempt.require_wanted()
    if attempt.row.status == "building":
        await _build(attempt)
    if attempt.row.status == "releasing":
        await _release(attempt)
    if attempt.row.status == "deploying":
        await _deploy(attempt)
    await _verify(attempt)
    return None


async def _leave_queue(attempt: Attempt) -> timedelta | None:
    """It stays queued while another holds the environment, whose end makes this one due again, while there is no place
    to build in, which `tasks.admit_builds` gives it, or for as long as is returned."""
    async with attempt.begin() as tx:
        row = attempt.row
        if row.status != "queued":
            raise LeaseLost
        if await queries.running(tx, attempt.environment.id) is not None:
            return None
        attempt.require_wanted()
        if row.digest is None and await queries.is_pruning(tx, attempt.project.id):
            return _PRUNING
        if row.digest is None and not await queue.may_build(tx, row.id):
            return None
        if row.digest is None:
            await _require_minutes(tx, row)
        warnings = await env.pin(tx, attempt.environment, row.id, like=row.env_like)
        await tx.execute(
            "UPDATE deployments SET previous_id = $2, deadline_at = now() + $3 WHERE id = $1",
            row.id,
            attempt.environment.current_deployment_id,
            timedelta(seconds=attempt.backends.settings.deployment_timeout_seconds),
        )
        for warning in warnings:
            await progress.line(tx, row, warning.message, step=None)
        if row.digest is None:
            await _begin_build(tx, attempt, "Building")
        else:
            await _begin_release(tx, attempt)
    return None


async def _require_minutes(tx: Tx, row: DeploymentRow) -> None:
    """Those that were left when it was made may be used up."""
    try:
        await queue.require_build_minutes(tx, row.team_id)
    except QuotaExceeded as error:
        raise StepFailed("quota_exceeded", error.message, hint=error.hint or "") from error


async def _begin_build(tx: Tx, attempt: Attempt, message: str) -> None:
    """Into `building`, from the queue or again after a worker was lost."""
    for step in ("source", "build"):
        await attempt.open_log(tx, step)
    steps = attempt.steps(source="running", build="pending")
    await attempt.move(tx, "building", message, steps=steps, step="source")


async def _begin_release(tx: Tx, attempt: Attempt) -> None:
    """The artifact is there: into `releasing` when its release command is to run, else onward."""
    artifact = await _artifact(tx, attempt)
    if release.command_of(attempt, artifact) is None:
        why = release.why_no_command(attempt, artifact)
        await _begin_deploy(
            tx, attempt, attempt.told("release", why, attempt.steps(release="skipped", start="running"))
        )
        return
    message = "Running the release command"
    await attempt.move(tx, "releasing", message, steps=attempt.steps(release="running"), step="release")


async def _begin_deploy(tx: Tx, attempt: Attempt, steps: list[DeploymentStep]) -> None:
    if attempt.row.strategy == "recreate":
        await instances.retire(tx, attempt.environment.id, but=attempt.row.id)
        await attempt.move(tx, "deploying", "Stopping what runs", steps=steps, step="start")
        return
    wanted = await _want(tx, attempt)
    await attempt.move(tx, "deploying", _starting(wanted), steps=steps, step="start")
    if not wanted:
        await _begin_switch(tx, attempt)


async def _want(tx: Tx, attempt: Attempt) -> list[str]:
    return await instances.want(tx, await release.release_spec(tx, attempt, await _artifact(tx, attempt)))


def _starting(wanted: list[str]) -> str:
    return f"Starting {len(wanted)} instance{'s' if len(wanted) > 1 else ''}" if wanted else "Nothing to start"


async def _build(attempt: Attempt) -> None:
    if attempt.taken_over:
        async with attempt.begin() as tx:
            await _begin_build(tx, attempt, "Building again: the worker was lost")
    try:
        fetched = await source.fetch_source(attempt)
        why_not = await source.not_worth_building(attempt, fetched)
        async with attempt.begin() as tx:
            attempt.require_wanted()
            steps = attempt.steps(source="success", build="running" if why_not is None else "skipped")
            steps = attempt.told("source", fetched.message, attempt.told("build", why_not, steps))
            await source.keep_commit(tx, attempt, fetched.tree)
            await attempt.store_steps(tx, steps)
            await attempt.close_logs(tx, "source")
        if why_not is not None:
            raise Halted(why_not)
        await variables.give(attempt, fetched.tree)
        artifact = await build.build_artifact(attempt, fetched.tree)
    finally:
        await source.remove_trees(attempt)
    async with attempt.begin() as tx:
        await build.keep_artifact(tx, attempt, artifact)
        await changes.wake(tx, Wake.BUILDS)
        await attempt.store_steps(tx, attempt.told("build", build.told(artifact), attempt.steps(build="success")))
        await attempt.close_logs(tx, "build")
        if attempt.halted() is None:  # else what is built is known all the same
            await _begin_release(tx, attempt)
    attempt.require_wanted()


async def _release(attempt: Attempt) -> None:
    async with read(attempt.backends.pool) as reader:
        artifact = await _artifact(reader, attempt)
    if attempt.row.released_attempt is not None:
        raise StepFailed(
            "release_command_interrupted",
            "The worker was lost while the release command ran; it is never run twice.",
            hint="See what it has done already, then deploy again.",
        )
    command = release.command_of(attempt, artifact)
    if command is not None:
        async with attempt.begin() as tx:
            attempt.require_wanted()
            await release.begin_command(tx, attempt)
        await release.run_command(attempt, artifact, command)
    async with attempt.begin() as tx:
        attempt.require_wanted()
        await attempt.close_logs(tx, "release")
        await _begin_deploy(tx, attempt, attempt.steps(release="success", start="running"))


async def _deploy(attempt: Attempt) -> None:
    if attempt.row.strategy == "recreate":
        await _wait_until_others_stopped(attempt)
    if attempt.row.strategy == "recreate" or attempt.taken_over:
        # what a lost worker has started and not yet failed is kept, and judged anew
        async with attempt.begin() as tx:
            attempt.require_wanted()
            wanted = await _want(tx, attempt)
            await attempt.store_steps(tx, attempt.steps(start="running", health="pending"))
            await progress.line(tx, attempt.row, _starting(wanted), step="start")
    async with read(attempt.backends.pool) as reader:
        stored = await instance_queries.release(reader, attempt.row.id)
    assert stored is not None

    async def started() -> None:
        async with attempt.begin() as tx:
            await attempt.store_steps(tx, attempt.steps(start="success", health="running"))

    healthy = await health.until_healthy(attempt, stored.processes, when_started=started)
    async with attempt.begin() as tx:
        attempt.require_wanted()
        for instance_id in healthy:
            await instances.set_healthy(tx, instance_id)
        await _begin_switch(tx, attempt, healthy=bool(healthy))


async def _begin_switch(tx: Tx, attempt: Attempt, *, healthy: bool = False) -> None:
    """From here on it cannot be canceled."""
    await switch.point_routes(tx, attempt, attempt.row.id)
    if not healthy:
        steps = attempt.steps(start="skipped", health="skipped", switch="running")
    elif attempt.step("start").status == "running":
        steps = attempt.steps(start="success", health="success", switch="running")
    else:
        steps = attempt.steps(health="success", switch="running")
    await attempt.move(tx, "verifying", "Switching", steps=steps, step="switch")


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
        steps = attempt.told("switch", said, attempt.steps(switch="success"))
        row = await progress.end(tx, attempt.row, "success", said, steps=steps)
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
