"""`cygnid work`: takes what is due and, while it leads, makes true what should be."""

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from cygnid.adapters import adapters
from cygnid.backends import Backends
from cygnid.core import clock, db
from cygnid.core.leader import Leadership, NotLeader
from cygnid.core.reconcile import reconcilers_in, run_reconcilers
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.core.work import Work, Worker, overdue_seconds, works_in
from cygnid.git import tasks as git
from cygnid.git.server import GitServer
from cygnid.resources.audit import tasks as audit
from cygnid.resources.auth import tasks as auth
from cygnid.resources.deployments import left_over, watching
from cygnid.resources.deployments import tasks as deployments
from cygnid.resources.instances import tasks as instances
from cygnid.resources.logs import tasks as logs
from cygnid.resources.permissions import tasks as permissions
from cygnid.resources.platform import actions
from cygnid.resources.platform import tasks as platform
from cygnid.resources.projects import tasks as projects
from cygnid.resources.routes import tasks as routes
from cygnid.resources.uploads import tasks as uploads
from cygnid.resources.users import tasks as users
from cygnid.settings import Settings

TASKS: tuple[ModuleType, ...] = (
    platform,
    projects,
    permissions,
    audit,
    auth,
    logs,
    uploads,
    instances,
    routes,
    deployments,
    left_over,
    watching,
    git,
    users,
)
"""Each noun's `tasks`: its reconcilers and its work on due rows."""

_BEAT_SECONDS, _EARLY_BEAT_SECONDS = 5.0, 0.5
_LONGEST_PAUSE_SECONDS = 15
"""Between two tries of a reconciler that fails: a port that is free again is not waited for long."""
_STOP_SECONDS = 10
log = logging.getLogger("cygnid.worker")


async def main(settings: Settings, *, build: str, ready: Callable[[], None] = lambda: None) -> None:
    """Work until SIGTERM, then end what was begun and return; a second SIGTERM gives that back unfinished.

    `build` names the code that runs; `ready` is called when it works. A part that fails ends all of it, by an
    exception: whoever started us starts us again, and applications and edge do not notice.
    """
    os.umask(0o022)
    told = _Told()
    async with _backends(settings) as (backends, leadership, server):
        await _say_what_is_here(backends)
        works = works_in(TASKS)
        workers = [
            Worker(work, backends, backends.pool, backends.wakeups, lease_seconds=settings.lease_seconds)
            for work in works
        ]

        async def lead() -> None:
            await run_reconcilers(
                reconcilers_in(TASKS), backends, backends.wakeups, max_backoff_seconds=_LONGEST_PAUSE_SECONDS
            )

        async with asyncio.TaskGroup() as group:
            aside = [group.create_task(backends.wakeups.run()), group.create_task(_beat(backends, build, works))]
            ending = [group.create_task(worker.run()) for worker in workers]
            ending.append(group.create_task(leadership.run(lead)))
            async with server.listening():
                ready()
                await told.end.wait()
            log.info("ending")
            ending.append(group.create_task(server.finish()))
            for worker in workers:
                worker.stop()
            leadership.resign()
            await _ended(ending, told.hurry)
            for task in (*ending, *aside):
                task.cancel()


class _Told:
    """What SIGTERM asks for: to end, and when it comes again, to hurry."""

    def __init__(self) -> None:
        self.end, self.hurry = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._signal)

    def _signal(self) -> None:
        (self.hurry if self.end.is_set() else self.end).set()


@asynccontextmanager
async def _backends(settings: Settings) -> AsyncGenerator[tuple[Backends, Leadership, GitServer]]:
    leadership = Leadership(settings.database_url)
    async with adapters(settings) as found:
        await found.repositories.prepare()
        server = GitServer(found.repositories, folder=settings.git_folder, api_uid=settings.uid(0))
        pool = await db.connect(settings.database_url, size=settings.pool_size)
        try:
            yield (
                Backends(
                    settings=settings,
                    pool=pool,
                    secrets=Secrets(settings.key()),
                    wakeups=Wakeups(settings.database_url),
                    source=found.source,
                    repositories=found.repositories,
                    builder=found.builder,
                    runtime=found.runtime,
                    edge=found.edge,
                    mailer=found.mailer,
                    term=leadership.term,
                ),
                leadership,
                server,
            )
        finally:
            pool.terminate()
            await found.repositories.close()


async def _say_what_is_here(backends: Backends) -> None:
    """For /v1/capabilities, which the API answers without seeing an adapter."""
    ability = await backends.runtime.ability()
    for note in ability.notes:
        log.warning("%s", note)
    found = actions.Found(
        runtime="process",
        builders=["process"],
        languages=[
            actions.FoundLanguage(name=name, versions=list(versions))
            for name, versions in await backends.builder.languages()
        ],
        sandbox=actions.FoundSandbox(
            own_user=ability.own_user, cgroups=ability.cgroups, own_network=ability.own_network
        ),
    )
    async with db.begin(backends.pool) as tx:
        await actions.store_capabilities(tx, found)


async def _beat(backends: Backends, build: str, works: list[Work]) -> None:
    """Say again and again that we live; health goes by it."""
    name, started = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}", clock.now()
    try:
        while True:
            edge = await backends.edge.status()
            try:
                async with db.begin(backends.pool) as tx:
                    beat = actions.Beat(
                        id=name,
                        build=build,
                        started_at=started,
                        is_leader=_leads(backends),
                        edge="running" if edge.running else "stopped",
                        overdue_seconds=await overdue_seconds(tx, works),
                    )
                    await actions.beat(tx, beat)
            except db.AWAY as error:
                log.warning("cannot say that we live: %r", error)
            await asyncio.sleep(_BEAT_SECONDS if edge.running else _EARLY_BEAT_SECONDS)
    finally:
        try:
            async with asyncio.timeout(_STOP_SECONDS), db.begin(backends.pool) as tx:
                await actions.leave(tx, name)
        except db.AWAY as error:
            log.warning("cannot say that we leave: %r", error)


def _leads(backends: Backends) -> bool:
    try:
        backends.term()
    except NotLeader:
        return False
    return True


async def _ended(tasks: list[asyncio.Task[Any]], hurry: asyncio.Event) -> None:
    """Return when all of them have ended, or `hurry` is set."""
    hurried = asyncio.create_task(hurry.wait())
    pending = set(tasks)
    while pending and not hurry.is_set():
        done, _ = await asyncio.wait({*pending, hurried}, return_when=asyncio.FIRST_COMPLETED)
        pending -= done
    hurried.cancel()
