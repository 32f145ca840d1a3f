"""Starting, stopping and forgetting one instance. Killed anywhere, the next look goes on from what is there."""

import asyncio
import platform
from dataclasses import dataclass
from pathlib import Path

from cygnid.backends import Backends
from cygnid.core import clock
from cygnid.core.db import Read, Tx, begin, read
from cygnid.resources.env import queries as env
from cygnid.resources.instances import queries, seen
from cygnid.resources.instances.queries import InstanceRow
from cygnid.resources.instances.specs import platform_env
from cygnid.resources.instances.steps.decide import DRAIN, Do
from cygnid.resources.logs.actions import LogStream, close_stream, open_stream
from cygnid.resources.logs.schemas import Stream
from cygnid.resources.projects import queries as projects
from cygnid.runtime.base import Address, Exit, InstanceSpec, Observed, StartFailed
from cygnid.settings import Settings

GRACE_SECONDS, TRIAL_GRACE_SECONDS = 10, 5
"""From SIGTERM to SIGKILL. One on trial has had no visitors, and whoever cancels its deployment waits for its end."""
DRAIN_PAUSE_SECONDS = 0.1
STARTS = 8
"""At the same time: more would only slow each other down."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    backends: Backends
    starts: asyncio.Semaphore

    async def do(self, what: Do, row: InstanceRow, found: Observed | None) -> None:
        """One step on the way of this instance; the next look finds the one after it."""
        end = found.exit if found else None
        match what:
            case Do.START:
                await self._start(row)
            case Do.START_AGAIN:
                await self._forget(row.id)
                async with begin(self.backends.pool) as tx:
                    await seen.starting(tx, row)
            case Do.NOTE_START:
                assert found is not None
                async with begin(self.backends.pool) as tx:
                    await seen.started(tx, row, found.address, at=found.started_at, node=platform.node())
            case Do.NOTE_END:
                assert end is not None
                async with begin(self.backends.pool) as tx:
                    await seen.crashed(tx, row, end, "unhealthy" if row.ailing else seen.reason_of(end))
            case Do.NOTE_LOSS:
                async with begin(self.backends.pool) as tx:
                    await seen.lost(tx, row, end.at if end else clock.now())
            case Do.STOP:
                await self._stop(row)
            case Do.FORGET:
                await self._forget(row.id)
                async with begin(self.backends.pool) as tx:
                    await seen.stopped(tx, row, end)
                    if row.retired_at is not None:
                        for path in output(self.backends.settings, row.id):
                            await close_stream(tx, path)

    async def discard(self, instance_id: str) -> None:
        """One that nobody knows any more: its project was purged, and with it who would read its output."""
        await self.backends.runtime.stop(instance_id, grace_seconds=GRACE_SECONDS, term=self.backends.term())
        await self._forget(instance_id)
        for path in output(self.backends.settings, instance_id):
            path.unlink(missing_ok=True)

    async def _start(self, row: InstanceRow) -> None:
        backends = self.backends
        async with self.starts:
            async with read(backends.pool) as reader:
                spec = await spec_of(reader, backends, row)
            async with begin(backends.pool) as tx:
                await _open_streams(tx, row, spec)
            at = clock.now()
            try:
                address: Address | None = await backends.runtime.start(spec, term=backends.term())
            except StartFailed as failed:
                end = Exit(at=clock.now(), code=None, signal=None, out_of_memory=False)
                async with begin(backends.pool) as tx:
                    await seen.crashed(tx, row, end, "crashed", message=f"could not be started: {failed.message}")
                return
        async with begin(backends.pool) as tx:
            await seen.started(tx, row, address, at=at, node=platform.node())

    async def _stop(self, row: InstanceRow) -> None:
        if not row.wanted and row.status != "stopping":
            async with begin(self.backends.pool) as tx:
                await seen.stopping(tx, row)
        if row.retired_at is not None and row.drain and row.host and row.port:
            await self._drained(
                Address(host=row.host, port=row.port), (row.retired_at + DRAIN - clock.now()).total_seconds()
            )
        grace = TRIAL_GRACE_SECONDS if row.on_trial else GRACE_SECONDS
        await self.backends.runtime.stop(row.id, grace_seconds=grace, term=self.backends.term())

    async def _drained(self, address: Address, seconds: float) -> None:
        """Nobody tells when the last connection ends, so it is asked for."""
        try:
            async with asyncio.timeout(seconds):
                while await self.backends.runtime.connections(address):  # noqa: ASYNC110  there is no such event
                    await asyncio.sleep(DRAIN_PAUSE_SECONDS)
        except TimeoutError:
            return

    async def _forget(self, instance_id: str) -> None:
        await self.backends.runtime.forget(instance_id, term=self.backends.term())


async def spec_of(reader: Read, backends: Backends, row: InstanceRow) -> InstanceSpec:
    """What the runtime is told. The deployment's pinned variables win over the artifact's; names that
    begin with CYGNI_ are ours."""
    settings = backends.settings
    release = await queries.release(reader, row.deployment_id)
    project = await projects.project(reader, row.project_id)
    assert release is not None
    assert project is not None
    process = release.process(row.process)
    assert process is not None
    pinned = await env.pinned(reader, backends.secrets, row.deployment_id, "runtime")
    stdout, stderr = output(settings, row.id)
    return InstanceSpec(
        id=row.id,
        environment_id=row.environment_id,
        release=Path(release.path),
        root=release.root,
        command=process.command,
        env={
            **release.env,
            **{each.key: each.value for each in pinned if each.type != "file"},
            **platform_env(settings, project.name, row.environment, row.deployment_id),
            "CYGNI_INSTANCE_ID": row.id,
        },
        files={each.key: each.value for each in pinned if each.type == "file"},
        mounts=tuple((Path(source), target) for source, target in release.mounts),
        uid=settings.uid(await projects.uid_number(reader, row.environment_id)),
        cpu=process.cpu,
        memory_mb=process.memory_mb,
        stdout=stdout,
        stderr=stderr,
        port=process.port,
    )


def output(settings: Settings, instance_id: str) -> tuple[Path, Path]:
    """Where its standard output and error go."""
    folder = settings.home / "logs" / "instances"
    return folder / f"{instance_id}.out", folder / f"{instance_id}.err"


async def _open_streams(tx: Tx, row: InstanceRow, spec: InstanceSpec) -> None:
    streams: dict[Stream, Path] = {"stdout": spec.stdout, "stderr": spec.stderr}
    for stream, path in streams.items():
        await open_stream(
            tx,
            LogStream(
                path=path,
                source="app",
                stream=stream,
                project_id=row.project_id,
                environment=row.environment,
                environment_id=row.environment_id,
                deployment_id=row.deployment_id,
                process=row.process,
                instance_id=row.id,
            ),
        )
