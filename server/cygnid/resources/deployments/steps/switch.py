"""Switch: the edge sends visitors to the new release, and one good answer through it proves so."""

import asyncio

from cygnid.core.changes import Wake
from cygnid.core.db import Tx, read
from cygnid.edge.base import EdgeAnswer
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.instances.schemas import WEB, ReleaseSpec
from cygnid.resources.projects import queries as projects
from cygnid.resources.routes import actions as routes
from cygnid.resources.routes import queries as route_queries

ANSWER_SECONDS = 10.0
"""How long the edge and the instances, all of them healthy, may take for the first good answer."""
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
    if web is not None and web.instances == 0:
        return "The process web is scaled to 0: nobody answers"
    path, host = web.probe_path if web else "/", attempt.url.netloc
    answer = EdgeAnswer(status=None, error="there was no answer in time")
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                answer = await attempt.backends.edge.probe(host, path, protocol=web.protocol if web else "http1")
                if web.accepts(answer.status) if web else (answer.status is not None and answer.status < 500):
                    return f"GET {path} through the edge was answered with {answer.status}"
                if await _is_halted(attempt):
                    return "Nobody answers: the project was paused"
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        said = f"was answered with {answer.status}" if answer.status is not None else f"had no answer: {answer.error}"
        raise StepFailed(
            "switch_failed",
            f"GET {path} through the edge {said}.",
            hint="What ran before serves again. Look at the app's log for the request.",
        ) from None


async def _is_halted(attempt: Attempt) -> bool:
    async with read(attempt.backends.pool) as reader:
        project = await projects.project(reader, attempt.project.id)
        environment = await projects.environment_by_id(reader, attempt.environment.id)
    return project is None or environment is None or project.status != "active" or environment.deleted_at is not None
