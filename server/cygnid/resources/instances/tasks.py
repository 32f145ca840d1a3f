"""Instances become what is wanted of them, and stay healthy."""

import asyncio
from datetime import timedelta
from functools import partial

from cygnid.backends import Backends
from cygnid.core import clock
from cygnid.core.changes import Wake
from cygnid.core.db import begin, read
from cygnid.core.jobs import Jobs
from cygnid.core.leader import NotLeader
from cygnid.core.reconcile import reconcile
from cygnid.resources.instances import queries, seen
from cygnid.resources.instances.steps.check import Checker
from cygnid.resources.instances.steps.decide import Do, decide
from cygnid.resources.instances.steps.run import STARTS, Runner
from cygnid.resources.projects.schemas import EnvironmentEvent, ProjectEvent
from cygnid.runtime.base import StaleLeader

WANTED = (
    Wake.INSTANCES,
    ProjectEvent.PAUSED,
    ProjectEvent.RESUMED,
    ProjectEvent.DELETED,
    ProjectEvent.RESTORED,
    EnvironmentEvent.DELETED,
    EnvironmentEvent.RESTORED,
)
FATAL = (StaleLeader, NotLeader)
LOOK_SECONDS, LOOK_SOON_SECONDS = 1.0, 0.2
"""The machine tells nobody that an instance has ended, so it is looked at: sooner while one starts."""
KEPT = timedelta(minutes=15)
"""How long one can still be read of that is gone."""


@reconcile(on=WANTED, minutes=LOOK_SECONDS / 60)
async def run_instances(backends: Backends) -> None:
    """Start what is wanted, stop what is not, start again what has ended, forget what nobody knows. The only caller of
    `Runtime.start`, `stop` and `forget`. Each instance is worked on by itself, so a slow one holds up nobody; returns
    when all are as they should be. Raises StaleLeader, NotLeader."""
    runner = Runner(backends=backends, starts=asyncio.Semaphore(STARTS))
    with backends.wakeups.subscribe(WANTED) as wake:
        async with Jobs(wake, fatal=FATAL) as jobs:
            await jobs.look_until_calm(partial(_look, runner, jobs))


async def _look(runner: Runner, jobs: Jobs) -> float | None:
    backends, busy = runner.backends, jobs.busy
    # The machine first: each instance that is found there has a row that was stored before it was started.
    found = {each.id: each for each in await backends.runtime.observe()}
    async with read(backends.pool) as reader:
        rows = await queries.held(reader)
    now, pauses = clock.now(), list[float]()
    for row in rows:
        if row.id in busy:
            continue
        what = decide(row, found.get(row.id), now)
        if isinstance(what, Do):
            jobs.start(row.id, partial(runner.do, what, row, found.get(row.id)))
        elif what is not None:
            pauses.append((what - now).total_seconds())
        elif row.status == "starting":
            pauses.append(LOOK_SOON_SECONDS)
    for unknown in found.keys() - {row.id for row in rows} - busy:
        jobs.start(unknown, partial(runner.discard, unknown))
    return min([*pauses, LOOK_SECONDS]) if pauses or jobs.busy else None


@reconcile(on=WANTED, minutes=1)
async def check_instances(backends: Backends) -> None:
    """Ask live instances whether they are healthy, as often as their health check says, for as long as there are any.
    What becomes of one that is unhealthy is `run_instances`' and the routes'."""
    with backends.wakeups.subscribe(WANTED) as wake, backends.wakeups.subscribe(WANTED) as changed:
        checker = Checker(backends=backends, changed=changed)
        async with Jobs(wake, fatal=FATAL) as jobs:
            await jobs.look_until_calm(partial(_check, checker, jobs))


async def _check(checker: Checker, jobs: Jobs) -> float | None:
    busy, pauses = jobs.busy, list[float]()
    for row in await checker.rows():
        if row.id in busy:
            continue
        pause, check = checker.due(row)
        if check is not None:
            jobs.start(row.id, check)
        else:
            pauses.append(pause)
    return min(pauses, default=None)


@reconcile(on=(), minutes=5)
async def sweep_instances(backends: Backends) -> None:
    """Let go of what is known of instances that are long gone."""
    async with begin(backends.pool) as tx:
        await seen.sweep(tx, clock.now() - KEPT)
