"""Switch: the edge sends visitors to the new release, and one good answer through it proves so."""

import asyncio

from cygnid.core.changes import Wake
from cygnid.core.db import Tx, read
from cygnid.edge.base import EdgeAnswer
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.instances.schemas import WEB, ReleaseSpec
from cygnid.resources.routes import actions as routes
from cygnid.resources.routes import queries as route_queries

_PAUSE = 0.05


async def point_routes(tx: Tx, attempt: Attempt, deployment_id: str | None) -> int:
    """In the transaction that also says so; the version to wait for."""
    return await routes.switch(tx, attempt.backends.settings, attempt.project, attempt.environment, deployment_id)


async def wait_until_published(attempt: Attempt, version: int) -> None:
    """Raises StepFailed."""
    seconds = attempt.backends.settings.switch_timeout_seconds
    with attempt.backends.wakeups.subscribe([Wake.PUBLISHED]) as woken:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    woken.clear()
                    async with read(attempt.backends.pool) as reader:
                        if await route_queries.confirmed(reader) >= version:
                            return
                    await woken.wait()
        except TimeoutError as error:
            raise StepFailed(
                "switch_failed",
                f"The edge did not take the new route within {seconds:g} seconds.",
                hint="`cygnid doctor` says how the edge is. What ran before still serves.",
            ) from error


async def wait_for_answer(attempt: Attempt, release: ReleaseSpec) -> str:
    """One good answer through the edge; what it was, for people. Raises StepFailed."""
    web = release.process(WEB)
    if release.kind == "release" and web is None:
        return "No web process: nothing is routed"
    path = web.probe_path if web else "/"
    deadline = asyncio.get_running_loop().time() + attempt.backends.settings.switch_timeout_seconds
    while True:
        answer = await attempt.backends.edge.probe(attempt.host, path)
        if web.accepts(answer.status) if web else (answer.status is not None and answer.status < 500):
            return f"GET {path} through the edge answered {answer.status}"
        if asyncio.get_running_loop().time() >= deadline:
            raise _no_good_answer(path, answer)
        await asyncio.sleep(_PAUSE)


def _no_good_answer(path: str, answer: EdgeAnswer) -> StepFailed:
    said = f"answered {answer.status}" if answer.status is not None else f"did not answer ({answer.error})"
    return StepFailed(
        "switch_failed",
        f"GET {path} through the edge {said}.",
        hint="What ran before serves again. Look at the app's log for the request.",
    )
