"""Start and health: the new instances beside the old ones, until each is healthy or one is not."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from cygnid.core import clock
from cygnid.core.changes import Wake
from cygnid.core.db import read
from cygnid.resources.deployments.steps.attempt import Attempt, Halted, StepFailed
from cygnid.resources.instances import queries as instances
from cygnid.resources.instances.queries import InstanceRow
from cygnid.resources.instances.schemas import ProcessSpec
from cygnid.resources.instances.steps.run import output
from cygnid.resources.logs import actions as logs
from cygnid.resources.projects.schemas import EnvironmentEvent, ProjectEvent
from cygnid.runtime.base import Address, Exit, Observed, ProbeResult

_CHANGES = (Wake.INSTANCES, ProjectEvent.PAUSED, ProjectEvent.DELETED, EnvironmentEvent.DELETED)
_LOOK_SECONDS = 0.1
"""Between two looks at the machine, which tells nobody that a process has ended."""
_FIRST_PAUSE, _LONGEST_PAUSE, _SHARE = 0.015, 0.25, 0.05
"""Between two probes: a share of how long it has been starting, so that a quick start is not noticed late."""
_PROBE_SECONDS = 5.0
_MAKE_SECONDS = 120.0
"""How long making the processes may take, before the time of their health checks begins."""
_LOOPBACK_SECONDS = 5.0
"""How long one may listen where nobody reaches it before it is told so."""
_QUIET_SECONDS = 5.0
"""How long one may be unhealthy before whoever watches is told what is awaited."""


async def until_healthy(
    attempt: Attempt, specs: Sequence[ProcessSpec], *, when_started: Callable[[], Awaitable[None]]
) -> list[str]:
    """Ids of the deployment's instances, all of them healthy; `when_started` is awaited once they all listen, unless
    they are all healthy by then. Raises StepFailed for the first that is not, Halted when none may run any more."""
    async with read(attempt.backends.pool) as reader:
        rows = await instances.of_deployment(reader, attempt.row.id)
    trial = _Trial(attempt, specs, rows)
    try:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(trial.look(group))
            await trial.until_all(trial.listening)
            if not trial.healthy >= trial.listening:
                await when_started()
            await trial.until_all(trial.healthy)
            looking.cancel()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [row.id for row in rows]


class _Trial:
    """What is known of the instances while they are judged."""

    def __init__(self, attempt: Attempt, specs: Sequence[ProcessSpec], rows: Sequence[InstanceRow]) -> None:
        self.listening = set[str]()
        """Those without a port: made."""
        self.healthy = set[str]()
        self._attempt = attempt
        self._specs = {spec.type: spec for spec in specs}
        self._ids = {row.id: row.process for row in rows}
        self._rows = {row.id: row for row in rows}
        self._machine: dict[str, Observed] = {}
        self._judged = set[str]()
        self._news = asyncio.Event()
        self._make_by = asyncio.get_running_loop().time() + _MAKE_SECONDS

    async def until_all(self, reached: set[str]) -> None:
        while not reached >= self._ids.keys():
            self._news.clear()
            await self._news.wait()

    async def look(self, group: asyncio.TaskGroup) -> None:
        """Read what is stored when it changes, ask the machine again and again. Raises StepFailed, Halted."""
        backends = self._attempt.backends
        with backends.wakeups.subscribe(_CHANGES) as woken:
            while True:
                if woken.is_set():
                    woken.clear()
                    async with read(backends.pool) as reader:
                        found = await instances.of_deployment(reader, self._attempt.row.id)
                    self._rows = {row.id: row for row in found}
                if self._judged:
                    self._machine = {each.id: each for each in await backends.runtime.observe()}
                for instance_id in self._ids:
                    self._see(instance_id, group)
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await woken.wait()
                except TimeoutError:
                    continue

    def _see(self, instance_id: str, group: asyncio.TaskGroup) -> None:
        spec, row = self._specs[self._ids[instance_id]], self._rows.get(instance_id)
        if row is None:
            raise StepFailed("internal", f"An instance of {spec.type} was taken away.", hint="Deploy again.")
        if not row.wanted:
            raise Halted("Canceled: nothing of the project may run any more")
        seen = self._machine.get(instance_id)
        if seen is not None and seen.exit is not None:
            raise self._exited(spec, row, seen.exit)
        if row.status == "crashed":
            raise self._not_made(spec, row.message) if row.message else self._exited(spec, row, _last_exit(row))
        if seen is not None and seen.listening == "reachable":
            self._reached(row, self.listening)
        if instance_id in self._judged:
            return
        if row.started_at is not None:
            self._judged.add(instance_id)
            group.create_task(self._judge(row, spec))
        elif asyncio.get_running_loop().time() >= self._make_by:
            raise StepFailed(
                "step_timeout",
                f"An instance of {spec.type} was not made within {_MAKE_SECONDS:g} seconds.",
                hint="`cygnid doctor` says how this machine and its worker are.",
            )

    async def _judge(self, row: InstanceRow, spec: ProcessSpec) -> None:
        if row.host is None or row.port is None:
            assert row.started_at is not None
            self._reached(row, self.listening)
            await asyncio.sleep(spec.start_seconds - (clock.now() - row.started_at).total_seconds())
            self._reached(row, self.healthy)
            return
        loop, url, address = asyncio.get_running_loop(), self._attempt.url, Address(host=row.host, port=row.port)
        began, unreachable_since, told = loop.time(), None, False
        while True:
            left = began + spec.start_seconds - loop.time()
            probed = await self._attempt.backends.runtime.probe(
                address,
                host=url.netloc,
                path=spec.probe_path,
                protocol=spec.protocol,
                scheme=url.scheme,
                timeout_seconds=min(_PROBE_SECONDS, max(left, 0.1)),
            )
            seen = self._machine.get(row.id)
            listening, elsewhere = (seen.listening, seen.other_ports) if seen else ("no", ())
            if probed.status is not None:
                self._reached(row, self.listening)
            if spec.accepts(probed.status):
                self._reached(row, self.healthy)
                return
            now = loop.time()
            unreachable_since = (unreachable_since or now) if listening == "loopbackOnly" else None
            given_up = unreachable_since is not None and now - unreachable_since >= _LOOPBACK_SECONDS
            if given_up or now >= began + spec.start_seconds:
                raise self._not_healthy(spec, row, listening, probed, elsewhere)
            if not told and now - began >= _QUIET_SECONDS:
                told = True
                left = round(began + spec.start_seconds - now)
                await self._tell(spec, row, listening, probed, elsewhere, seconds=left)
            await asyncio.sleep(min(max((now - began) * _SHARE, _FIRST_PAUSE), _LONGEST_PAUSE))

    async def _tell(
        self,
        spec: ProcessSpec,
        row: InstanceRow,
        listening: str,
        probed: ProbeResult,
        elsewhere: Sequence[int],
        *,
        seconds: int,
    ) -> None:
        if probed.status is not None:
            how = f"answers GET {spec.probe_path} with {probed.status}"
        elif listening == "reachable":
            how = f"listens, but does not answer GET {spec.probe_path}"
        else:
            how = f"does not listen on $PORT ({row.port}){_but(elsewhere)}"
        async with self._attempt.begin() as tx:
            await logs.system_line(
                tx,
                row.project_id,
                row.environment,
                f"The process {spec.type} {how} so far; it has {seconds} more seconds.",
                level="warn",
                deployment_id=row.deployment_id,
                instance_id=row.id,
                process=row.process,
            )

    def _reached(self, row: InstanceRow, where: set[str]) -> None:
        where.add(row.id)
        self._news.set()

    def _files(self, row: InstanceRow) -> tuple[Path, Path]:
        return output(self._attempt.backends.settings, row.id)

    def _not_made(self, spec: ProcessSpec, message: str) -> StepFailed:
        return StepFailed(
            "start_crash",
            f"The process {spec.type} {message}",
            hint="Check its command and the folder that it runs in.",
        )

    def _exited(self, spec: ProcessSpec, row: InstanceRow, end: Exit) -> StepFailed:
        if end.out_of_memory:
            return StepFailed(
                "out_of_memory",
                f"The process {spec.type} used more than its {spec.memory_mb} MB of memory and was ended.",
                hint=f"Give it more: memory_mb = {spec.memory_mb * 2} below [processes.{spec.type}] in cygni.toml.",
                files=self._files(row),
            )
        how = f"exited with code {end.code}" if end.code is not None else f"was ended by {end.signal or 'a restart'}"
        when = "before it was healthy" if row.id in self.listening else "before it listened on $PORT"
        return StepFailed(
            "start_crash",
            f"The process {spec.type} {how} {when}." if spec.port is not None else f"The process {spec.type} {how}.",
            hint=f"Run the start command locally: {spec.command}",
            files=self._files(row),
        )

    def _not_healthy(
        self, spec: ProcessSpec, row: InstanceRow, listening: str, probed: ProbeResult, elsewhere: Sequence[int]
    ) -> StepFailed:
        files, within = self._files(row), f"within {spec.start_seconds} seconds"
        if listening == "loopbackOnly":
            return StepFailed(
                "port_not_bound",
                f"The process {spec.type} listens on 127.0.0.1 only, where nobody but itself reaches it.",
                hint="Let it listen on 0.0.0.0 and the port in the environment variable PORT.",
                files=files,
            )
        if probed.status is not None:
            good = "200 to 399" if spec.health_check else "below 500"
            return StepFailed(
                "health_check_failed",
                f"The process {spec.type} answered GET {spec.probe_path} with {probed.status}; {good} is healthy.",
                hint="Its last lines may say why. Another path or more time: health_check in cygni.toml.",
                files=files,
            )
        if listening == "reachable":
            return StepFailed(
                "health_check_failed",
                f"The process {spec.type} listens, but did not answer GET {spec.probe_path} {within}: {probed.error}.",
                hint="It may be busy, or wait for something that it cannot reach, such as a database.",
                files=files,
            )
        return StepFailed(
            "port_not_bound",
            f"The process {spec.type} did not listen on $PORT ({row.port}) {within}{_but(elsewhere)}.",
            hint="Let it listen on 0.0.0.0 and the port in the environment variable PORT.",
            files=files,
        )


def _last_exit(row: InstanceRow) -> Exit:
    return Exit(
        at=row.exit_at or row.updated_at,
        code=row.exit_code,
        signal=row.exit_signal,
        out_of_memory=row.exit_reason == "outOfMemory",
    )


def _but(ports: Sequence[int]) -> str:
    return f", but on {' and '.join(map(str, ports[:5]))}" if ports else ""
