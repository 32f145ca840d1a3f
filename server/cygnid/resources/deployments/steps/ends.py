"""How a deployment ends other than well: what served before serves on, or again, and nothing is left behind."""

import contextlib

from cygnid.core import clock
from cygnid.core.db import Tx, begin
from cygnid.resources.deployments import progress, queries
from cygnid.resources.deployments.schemas import StepName
from cygnid.resources.deployments.steps import source, switch
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.instances import actions as instances
from cygnid.resources.instances import queries as instance_queries


async def clean_up(attempt: Attempt) -> None:
    """End what this and earlier attempts run on the machine, and remove their trees. Their instances are the release's,
    and taken away with it."""
    for number in range(1, attempt.claim.attempt + 1):
        await attempt.backends.builder.kill(f"{attempt.row.id}.{number}")
        await attempt.backends.runtime.kill(f"{attempt.row.id}.release.{number}")
    await source.remove_trees(attempt)


async def fail(attempt: Attempt, failed: StepFailed) -> None:
    """Raises LeaseLost."""
    names: list[StepName] = [step.name for step in attempt.row.steps if step.status == "running"]
    step: StepName = names[0] if names else "source"
    failure = await attempt.failure(failed, step)
    version = None
    async with attempt.begin() as tx:
        if attempt.row.status == "verifying":
            version = await switch.point_routes(tx, attempt, attempt.environment.current_deployment_id)
        await _bring_back(tx, attempt)
        await progress.end(
            tx,
            attempt.row,
            "failed",
            failed.message,
            steps=[
                progress.finished(item, "failed", clock.now(), failed.message) if item.name == step else item
                for item in attempt.row.steps
            ],
            failure=failure,
        )
        await attempt.close_logs(tx)
    if version is not None:
        # its instances stay until nobody is sent to them any more
        with contextlib.suppress(StepFailed):
            await switch.wait_until_published(attempt, version)
    async with begin(attempt.backends.pool) as tx:
        await instances.retire_release(tx, attempt.row.id)


async def cancel(attempt: Attempt) -> None:
    """Raises LeaseLost."""
    async with attempt.begin() as tx:
        row = await queries.deployment(tx, attempt.row.id)
        if row is None:
            return
        await _bring_back(tx, attempt)
        await instances.retire_release(tx, row.id)
        attempt.row = await progress.end(tx, row, "canceled", "Canceled")
        await attempt.close_logs(tx)


async def _bring_back(tx: Tx, attempt: Attempt) -> None:
    """With `recreate` the old instances were stopped first: the release that was live is started again."""
    current = attempt.environment.current_deployment_id
    if attempt.row.strategy != "recreate" or current is None or attempt.row.status not in ("deploying", "verifying"):
        return
    if (old := await instance_queries.release(tx, current)) is not None:
        await instances.want(tx, old)
        await instances.go_live(tx, current)
