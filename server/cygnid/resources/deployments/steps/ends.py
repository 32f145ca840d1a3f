"""How a deployment ends other than well: what served before serves on, or again, and nothing is left behind."""

from cygnid.core.db import Tx
from cygnid.resources.deployments import progress
from cygnid.resources.deployments.schemas import ENDS, StepName
from cygnid.resources.deployments.steps import source, switch
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.instances import actions as instances


async def clean_up(attempt: Attempt) -> None:
    """End what this and earlier attempts run on the machine, and remove their trees. Their instances are the release's,
    and taken away with it."""
    for number in range(1, attempt.claim.attempt + 1):
        await attempt.backends.source.kill(source.folder(attempt, number))
        await attempt.backends.builder.kill(f"{attempt.row.id}.{number}")
        await attempt.backends.runtime.kill(f"{attempt.row.id}.release.{number}")
    await source.remove_trees(attempt)


async def fail(attempt: Attempt, failed: StepFailed) -> None:
    """Nothing, if it has ended meanwhile. Raises LeaseLost."""
    async with attempt.begin():
        names: list[StepName] = [step.name for step in attempt.row.steps if step.status == "running"]
        step = names[0] if names else _first(attempt)
    failure = await attempt.failure(failed, step)
    async with attempt.begin() as tx:
        if attempt.row.status in ENDS:
            return
        await _serve_as_before(tx, attempt)
        steps = attempt.told(step, failure.message, attempt.failed(step))
        await progress.end(tx, attempt.row, "failed", failure.message, steps=steps, failure=failure)
        await attempt.close_logs(tx)


async def cancel(attempt: Attempt, why: str) -> None:
    """Nothing, if it has ended meanwhile. Raises LeaseLost."""
    async with attempt.begin() as tx:
        if attempt.row.status in ENDS:
            return
        await _serve_as_before(tx, attempt)
        await progress.end(tx, attempt.row, "canceled", why)
        await attempt.close_logs(tx)


async def _serve_as_before(tx: Tx, attempt: Attempt) -> None:
    """The release that is current serves, and nothing of this one runs; what visitors have asked it is finished."""
    current, status = attempt.environment.current_deployment_id, attempt.row.status
    if status == "verifying":
        await switch.point_routes(tx, attempt, current)
    await instances.retire_release(tx, attempt.row.id, drain=status == "verifying")
    if attempt.row.strategy == "recreate" and current is not None and status in ("deploying", "verifying"):
        # what ran was stopped first: it is started again
        await instances.go_live(tx, current)


def _first(attempt: Attempt) -> StepName:
    """The step that it would have begun with."""
    return "source" if attempt.row.digest is None else "start"
