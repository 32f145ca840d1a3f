"""The supervisor: database, API and worker as children that are started in order, kept, replaced and stopped.

It holds the API's listening socket, so requests wait while the API is started again, and is itself replaced by `exec`
when another build takes over: its pid, the database and the socket stay.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cygnid.core.postgres import EmbeddedPostgres
from cygnid.core.postgres.child import Child
from cygnid.programs import programs
from cygnid.up import control
from cygnid.up.build import this_build
from cygnid.up.handover import Handover, replace
from cygnid.up.health import api_url, edge_pids, healthy
from cygnid.up.processes import Program, StartFailed, run_once
from cygnid.up.report import Pids, Reporter, Summary

_HEALTHY_SECONDS = 90
_API_GRACE_SECONDS = 6
_WORKER_PATIENCE_SECONDS, _WORKER_GRACE_SECONDS = 10, 20
_FIRST_PAUSE, _LONGEST_PAUSE, _STABLE = 0.2, 15.0, 30.0
"""Seconds: a process that ends is started again after a pause that doubles until it stays up."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What one `cygnid up` was told, worked out."""

    data: Path
    env: dict[str, str]
    """Of the children: the supervisor's own with the settings that follow from the command line."""
    uid: int | None
    """Of the API and the database; None: our own."""
    database_url: str | None
    """An external server; None: the embedded one."""
    binaries: Path | None
    apps_url: str
    apps_port: int


class Supervisor:
    """`show` prints the outcome where nobody waits for it at the other end of the reporter."""

    def __init__(
        self,
        options: Options,
        *,
        listener: socket.socket,
        lock: int,
        reporter: Reporter,
        show: Callable[[Summary], None] | None,
    ) -> None:
        self._options = options
        self._listener = listener
        self._lock = lock
        self._reporter = reporter
        self._show = show
        self._postgres = (
            None if options.database_url else EmbeddedPostgres(options.data, uid=options.uid, binaries=options.binaries)
        )
        self._env = dict(options.env)
        self._api: Child | None = None
        self._worker: Child | None = None
        self._leaving: list[Child] = []
        self._stop = asyncio.Event()
        self._summary: asyncio.Future[Summary] = asyncio.get_running_loop().create_future()

    async def run(self, inherited: Handover | None) -> bool:
        """Come up, and stay until told to stop. False: it did not come up, and the reporter has been told why."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        stopped = asyncio.create_task(self._stop.wait())
        keepers: list[asyncio.Task[None]] = []
        started = asyncio.create_task(self._start(inherited, keepers))
        try:
            async with control.listening(self._options.data / "run", self._answer):
                try:
                    await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
                    if not started.done():
                        started.cancel()
                        self._reporter.failed("stopped before it was up")
                        return False
                    if not started.result():
                        return False
                    await stopped
                    return True
                finally:
                    self._summary.cancel()
        finally:
            for task in (stopped, *keepers):
                task.cancel()
            await self._end()

    async def _start(self, inherited: Handover | None, keepers: list["asyncio.Task[None]"]) -> bool:
        if inherited:
            self._api, self._worker = Child(inherited.api), Child(inherited.worker)
            self._leaving = [Child(pid) for pid in inherited.leaving]
            if self._postgres and inherited.postgres:
                self._postgres.adopt(inherited.postgres)
        build = this_build().id
        try:
            await asyncio.to_thread(programs, self._options.data, self._reporter.progress)
            if self._postgres:
                self._reporter.progress("Starting the database ...")
                self._env["CYGNI_DATABASE_URL"] = await self._postgres.start()
                keepers.append(asyncio.create_task(self._keep_postgres(self._postgres)))
            elif self._options.database_url:
                self._env["CYGNI_DATABASE_URL"] = self._options.database_url
            owner = json.loads(await run_once("migrate", "--first-owner", "--json", env=self._env))
            self._reporter.progress("Starting the API and the worker ...")
            await self._replace_children()
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits is told, and the old children go on
            self._reporter.failed(f"{error}" if isinstance(error, StartFailed) else f"{type(error).__name__}: {error}")
            if not (self._api and self._worker):
                return False
            # so that the next `up` does not take it for running
            build, owner = f"failed-{build}", {"teamId": None, "token": None, "setupCode": None}
        keepers.append(asyncio.create_task(self._keep("api")))
        keepers.append(asyncio.create_task(self._keep("worker")))
        problem = await healthy(self._listener, seconds=_HEALTHY_SECONDS)
        summary = self._summarize(build, owner)
        self._summary.set_result({**summary, "token": None, "setupCode": None, "started": False})
        if self._show:
            self._show(summary)
        if problem:
            self._reporter.failed(f"{problem}. It goes on trying; `cygnid doctor` says what is wrong.")
        else:
            self._reporter.done(summary)
        return True

    async def _replace_children(self) -> None:
        """Start this build's API and worker; the previous build's, if any, finish what they have begun.

        The old ones are told to go only when both new ones are ready. The old worker then gives up leadership; what it
        has begun goes on in it until that ends or its leases lapse.
        """
        api = await self._program("api").start_ready()
        try:
            worker = await self._program("worker").start_ready()
        except StartFailed:
            await api.stop(signal.SIGTERM, grace_seconds=_API_GRACE_SECONDS)
            raise
        old = [child for child in (self._api, self._worker) if child]
        self._api, self._worker = api, worker
        for child in old:
            child.send(signal.SIGTERM)
        self._leaving += old

    def _program(self, name: str) -> Program:
        if name == "api":
            fd = self._listener.fileno()
            return Program(name="API", verb="serve", env=self._env, uid=self._options.uid, listener=fd)
        return Program(name="worker", verb="work", env=self._env, uid=None)

    async def _keep(self, name: str) -> None:
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            child = self._api if name == "api" else self._worker
            assert child is not None, "started before it is kept"
            code = await child.wait()
            pause = _FIRST_PAUSE if time.monotonic() - began > _STABLE else min(pause * 2, _LONGEST_PAUSE)
            _log(f"the {name} ended with code {code}; starting it again in {pause:.1f} s")
            await asyncio.sleep(pause)
            child = self._program(name).start()
            if name == "api":
                self._api = child
            else:
                self._worker = child

    async def _keep_postgres(self, postgres: EmbeddedPostgres) -> None:
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            code = await postgres.wait()
            pause = _FIRST_PAUSE if time.monotonic() - began > _STABLE else min(pause * 2, _LONGEST_PAUSE)
            _log(f"the database ended with code {code}; starting it again in {pause:.1f} s")
            await asyncio.sleep(pause)
            try:
                await postgres.start()
            except Exception as error:  # noqa: BLE001 - a full disk may be emptied: try again
                _log(f"the database did not start: {error}")

    async def _answer(self, request: control.Request, fd: int) -> None:
        match request["do"]:
            case "status":
                # a first `up` that is still under way is waited for
                summary = await asyncio.shield(self._summary)
                control.reply(fd, {"done": {**summary, "pids": self._pids()}})
            case "stop":
                control.reply(fd, {"stopping": os.getpid()})
                self._stop.set()
            case "replace":
                await asyncio.shield(self._summary)
                self._hand_over(request.get("argv", []), request.get("env", {}), fd)

    def _hand_over(self, argv: list[str], env: dict[str, str], fd: int) -> None:
        assert self._api is not None, "up before it is replaced"
        assert self._worker is not None, "up before it is replaced"
        try:
            replace(
                argv,
                env,
                Handover(
                    listener=self._listener.fileno(),
                    lock=self._lock,
                    report=fd,
                    apps_port=self._options.apps_port,
                    postgres=self._postgres.pid if self._postgres else None,
                    api=self._api.pid,
                    worker=self._worker.pid,
                    leaving=[child.pid for child in self._leaving if child.alive],
                ),
            )
        except OSError as error:
            control.reply(fd, {"failed": f"{argv[:1]} cannot be run: {error}"})

    def _summarize(self, build: str, owner: Mapping[str, str | None]) -> Summary:
        return Summary(
            apiUrl=api_url(self._listener),
            appsUrl=self._options.apps_url,
            token=owner["token"],
            setupCode=owner["setupCode"],
            teamId=owner["teamId"],
            dataDir=str(self._options.data),
            build=build,
            commit=this_build().commit,
            started=True,
            pids=self._pids(),
        )

    def _pids(self) -> Pids:
        edge, files = edge_pids(self._options.data)
        return Pids(
            supervisor=os.getpid(),
            postgres=self._postgres.pid if self._postgres else None,
            api=self._api.pid if self._api else None,
            worker=self._worker.pid if self._worker else None,
            edge=edge,
            files=files,
        )

    async def _end(self) -> None:
        """API, worker, database, in this order: each can use the next to its end."""
        if self._api:
            await self._api.stop(signal.SIGTERM, grace_seconds=_API_GRACE_SECONDS)
        workers = [child for child in (self._worker, *self._leaving) if child]
        await asyncio.gather(*map(_end_worker, workers))
        if self._postgres:
            await self._postgres.stop()


async def _end_worker(worker: Child) -> None:
    """Told once it ends what it has begun, told twice it gives that back for the next worker to do."""
    worker.send(signal.SIGTERM)
    try:
        await asyncio.wait_for(worker.wait(), _WORKER_PATIENCE_SECONDS)
    except TimeoutError:
        await worker.stop(signal.SIGTERM, grace_seconds=_WORKER_GRACE_SECONDS)


def _log(text: str) -> None:
    print(f"cygnid: {text}", file=sys.stderr, flush=True)
