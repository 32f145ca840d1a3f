"""Start and health: the new instances beside the old ones, until each is healthy or one is not."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cygnid.core.changes import Wake
from cygnid.core.db import read
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.instances import queries as instances
from cygnid.resources.instances.queries import InstanceRow
from cygnid.resources.instances.schemas import ProcessSpec
from cygnid.runtime.base import Address, Exit, Observed, ProbeResult

_LOOK_SECONDS = 0.1
"""Between two looks at the machine: how late an exit is seen."""
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.01, 0.5, 1.25
"""Between two probes of an instance that is starting."""
_PROBE_SECONDS = 5.0
_RUNTIME_SECONDS = 30.0
"""How long making a process may take, before the time of its health check begins."""


@dataclass
class _Seen:
    """What is known of the instances, refreshed until they are judged."""

    rows: Mapping[str, InstanceRow]
    machine: Mapping[str, Observed] = field(default_factory=dict[str, Observed])


async def wait_until_started(attempt: Attempt) -> None:
    """Until every instance is made. Raises StepFailed."""
    with attempt.backends.wakeups.subscribe([Wake.INSTANCES]) as woken:
        try:
            async with asyncio.timeout(_RUNTIME_SECONDS):
                while True:
                    woken.clear()
                    async with read(attempt.backends.pool) as reader:
                        rows = await instances.of_deployment(reader, attempt.row.id)
                    for row in rows:
                        if row.message is not None and row.started_at is None:
                            raise StepFailed(
                                "start_crash", f"{row.process} could not be started: {row.message}",
                                hint="Check its command and the folder it runs in.",
                            )  # fmt: skip
                    if all(row.started_at is not None for row in rows):
                        return
                    await woken.wait()
        except TimeoutError as error:
            raise StepFailed(
                "step_timeout", "The instances could not be made in time.",
                hint="`cygnid doctor` says how this machine and its worker are.",
            ) from error  # fmt: skip


async def wait_until_healthy(attempt: Attempt, specs: Sequence[ProcessSpec]) -> list[str]:
    """Ids of the instances, all of them healthy. Raises StepFailed for the first that is not."""
    by_type = {spec.type: spec for spec in specs}
    async with read(attempt.backends.pool) as reader:
        rows = await instances.of_deployment(reader, attempt.row.id)
    seen = _Seen(rows={row.id: row for row in rows})
    judging = [asyncio.create_task(_judge(attempt, row.id, by_type[row.process], seen)) for row in rows]
    looking = asyncio.create_task(_look(attempt, seen))
    try:
        judged = asyncio.gather(*judging)
        await asyncio.wait({looking, judged}, return_when=asyncio.FIRST_COMPLETED)
        if not judged.done():
            looking.result()
        await judged
        return [row.id for row in rows]
    finally:
        for task in (looking, *judging):
            task.cancel()
        await asyncio.gather(looking, *judging, return_exceptions=True)


async def _look(attempt: Attempt, seen: _Seen) -> None:
    with attempt.backends.wakeups.subscribe([Wake.INSTANCES]) as woken:
        while True:
            if woken.is_set():
                woken.clear()
                async with read(attempt.backends.pool) as reader:
                    seen.rows = {row.id: row for row in await instances.of_deployment(reader, attempt.row.id)}
            seen.machine = {each.id: each for each in await attempt.backends.runtime.observe()}
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await woken.wait()
            except TimeoutError:
                continue


async def _judge(attempt: Attempt, instance_id: str, spec: ProcessSpec, seen: _Seen) -> None:
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + spec.start_seconds, _FIRST_PAUSE
    probed: ProbeResult | None = None
    while True:
        row, there = seen.rows.get(instance_id), seen.machine.get(instance_id)
        if row is None:
            raise StepFailed("internal", f"An instance of {spec.type} was taken away.", hint="Deploy again.")
        if there is not None and there.exit is not None:
            raise _exited(spec, row, there.exit, attempt)
        if row.exit_at is not None:
            gone = Exit(
                at=row.exit_at, code=row.exit_code, signal=row.exit_signal,
                out_of_memory=row.exit_reason == "outOfMemory",
            )  # fmt: skip
            raise _exited(spec, row, gone, attempt)
        if spec.port is None:
            if loop.time() >= deadline:
                return
        elif row.host is not None and row.port is not None:
            probed = await attempt.backends.runtime.probe(
                Address(host=row.host, port=row.port),
                host=attempt.host,
                path=spec.probe_path,
                protocol=spec.protocol,
                timeout_seconds=min(_PROBE_SECONDS, max(0.1, deadline - loop.time())),
            )
            if spec.accepts(probed.status):
                return
        if spec.port is not None and loop.time() >= deadline:
            raise _silent(spec, row, there, probed, attempt)
        await asyncio.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _files(attempt: Attempt, row: InstanceRow) -> list[Path]:
    folder = attempt.backends.settings.home / "logs" / "instances"
    return [folder / f"{row.id}.out", folder / f"{row.id}.err"]


def _exited(spec: ProcessSpec, row: InstanceRow, gone: Exit, attempt: Attempt) -> StepFailed:
    files = _files(attempt, row)
    if gone.out_of_memory:
        return StepFailed(
            "out_of_memory",
            f"The process {spec.type} used more than its {spec.memory_mb} MB of memory and was ended.",
            hint=f"Give it more: cygni scale {spec.type} --memory {spec.memory_mb * 2}, then deploy again.",
            files=files,
        )
    how = f"exited with code {gone.code}" if gone.signal is None else f"was ended by {gone.signal}"
    before = "before it listened on $PORT" if spec.port is not None else "right after its start"
    return StepFailed(
        "start_crash",
        f"The process {spec.type} {how} {before}.",
        hint=f"Run the start command locally: {spec.command}",
        files=files,
    )


def _silent(
    spec: ProcessSpec, row: InstanceRow, there: Observed | None, probed: ProbeResult | None, attempt: Attempt
) -> StepFailed:
    files, listening = _files(attempt, row), there.listening if there else "no"
    within = f"within {spec.start_seconds} seconds"
    if probed is not None and probed.status is not None:
        wanted = "200 to 399" if spec.health_check else "below 500"
        return StepFailed(
            "health_check_failed",
            f"GET {spec.probe_path} of the process {spec.type} answered {probed.status} {within}; healthy is {wanted}.",
            hint="Its last lines may say why. Another path or more time: healthCheck in cygni.toml or in the project.",
            files=files,
        )
    if listening == "loopbackOnly":
        return StepFailed(
            "port_not_bound",
            f"The process {spec.type} listens on 127.0.0.1 only, where nobody but itself can reach it.",
            hint="Let it listen on 0.0.0.0 and the port in $PORT.",
            files=files,
        )
    if listening == "reachable":
        return StepFailed(
            "health_check_failed",
            f"The process {spec.type} listens, but did not answer GET {spec.probe_path} {within}.",
            hint="It may be busy or wait for something that it cannot reach, such as a database.",
            files=files,
        )
    return StepFailed(
        "port_not_bound",
        f"The process {spec.type} did not listen on $PORT ({row.port}) {within}.",
        hint="Let it listen on 0.0.0.0 and the port in the environment variable PORT.",
        files=files,
    )
