"""Variables that an app's own files ask for, before it is built."""

import asyncio
import secrets

from cygnid.build.base import Asks, BuildFailed
from cygnid.build.detect import FolderFiles, asks
from cygnid.core.db import begin
from cygnid.core.errors import CygniError
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.deployments.steps.build import build_settings
from cygnid.resources.env import actions as env
from cygnid.resources.env import pins
from cygnid.resources.env import queries as env_queries
from cygnid.resources.projects.access import platform_access
from cygnid.source.base import Tree

_RANDOM_BYTES = 32


async def give(attempt: Attempt, tree: Tree) -> None:
    """Make those that may have any value, once in each environment. Raises StepFailed for one that must be set."""
    try:
        asked = await asyncio.to_thread(asks, FolderFiles(tree.path), build_settings(attempt.project))
    except BuildFailed:
        return  # the build says what is wrong
    if not asked.required and not asked.generated:
        return
    try:
        made = await _made(attempt, asked)
    except CygniError as error:
        message = f"What app.json asks for could not be set: {error.message}"
        raise StepFailed("source_invalid", message, hint=error.hint or "Set it yourself: cygni env set.") from error
    async with attempt.begin() as tx:
        await pins.pin_more(tx, attempt.environment, attempt.row.id, asked.generated)
    if made:
        attempt.say("build", f"{', '.join(made)}: set to a random value, since app.json asks for it")


async def _made(attempt: Attempt, asked: Asks) -> list[str]:
    """Their keys. Raises StepFailed, CygniError."""
    project, environment = attempt.project, attempt.environment
    async with begin(attempt.backends.pool) as tx:
        await env.lock(tx, project)
        await attempt.claim.fence(tx)
        there = {row.key for row in await env_queries.effective(tx, environment)}
        if missing := [key for key in asked.required if key not in there]:
            raise _missing(attempt, asked, missing)
        made = sorted(asked.generated - there)
        for key in made:
            await env.create(
                tx,
                attempt.backends.secrets,
                platform_access(project, environment),
                key=key,
                value=secrets.token_hex(_RANDOM_BYTES),
                environments=[environment.name],
                comment="Random, since app.json asks for it.",
            )
    return made


def _missing(attempt: Attempt, asked: Asks, keys: list[str]) -> StepFailed:
    first, *others = keys
    why = f" ({asked.required[first]})" if asked.required[first] else ""
    nor = f", nor {', '.join(others)}" if others else ""
    values = " ".join(f"{key}=…" for key in keys)
    return StepFailed(
        "source_invalid",
        f"app.json requires {first}{why}, which is not set{nor}.",
        hint=f"cygni env set {values} --project {attempt.project.name} -e {attempt.environment.name}",
    )
