"""A runtime without walls: real processes on loopback, started in milliseconds, as any user, on any system.

What it has started outlives the object: another FakeRuntime over the same folder finds it, as after a restart of the
control plane. `end_all` ends what a test left.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cygnid.runtime.base import (
    Ability,
    Address,
    CommandResult,
    CommandSpec,
    Exit,
    HttpProtocol,
    InstanceSpec,
    Observed,
    ProbeResult,
    StartFailed,
)
from cygnid.runtime.process.probe import probe
from cygnid.runtime.process.sockets import connections, listeners, listening
from cygnid.runtime.process.term import raise_if_stale

MARK = "CYGNI_FAKE_ID"


@dataclass
class Process:
    id: str
    child: asyncio.subprocess.Process
    started_at: datetime
    address: Address | None
    exit: Exit | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    watch: asyncio.Task[None] | None = None


_machines: dict[Path, dict[str, Process]] = {}


class FakeRuntime:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        """What `check` answers."""
        self._starting = asyncio.Lock()
        self._instances = _machines.setdefault(folder, {})
        self._commands: dict[str, Process] = {}

    async def start(self, spec: InstanceSpec, *, term: int) -> Address | None:
        raise_if_stale(self.folder / "runtime.term", term)
        async with self._starting:
            if (known := self._instances.get(spec.id)) is None:
                known = self._instances[spec.id] = await self._start(spec, None if spec.port is None else _free_port())
        return known.address

    async def stop(self, instance_id: str, *, grace_seconds: float, term: int) -> None:
        raise_if_stale(self.folder / "runtime.term", term)
        if (process := self._instances.get(instance_id)) is not None:
            await self._end(process, grace_seconds)

    async def forget(self, instance_id: str, *, term: int) -> None:
        await self.stop(instance_id, grace_seconds=0, term=term)
        self._instances.pop(instance_id, None)
        shutil.rmtree(self.folder / "instances" / instance_id, ignore_errors=True)

    async def observe(self) -> Sequence[Observed]:
        tcp = listeners(os.getpid())
        return [
            Observed(
                id=each.id,
                running=each.exit is None,
                started_at=each.started_at,
                address=each.address,
                listening=listening(tcp, host=each.address.host, port=each.address.port)
                if each.address and not each.exit
                else "no",
                exit=each.exit,
                cpu_seconds=0.0,
                memory_bytes=0,
            )
            for each in self._instances.values()
        ]

    async def probe(
        self, address: Address, *, host: str, path: str, protocol: HttpProtocol, scheme: str, timeout_seconds: float
    ) -> ProbeResult:
        return await probe(
            address, host=host, path=path, protocol=protocol, scheme=scheme, timeout_seconds=timeout_seconds
        )

    async def connections(self, address: Address) -> int:
        return connections(host=address.host, port=address.port)

    async def run(self, spec: CommandSpec, *, timeout_seconds: float) -> CommandResult:
        await self.kill(spec.id)
        starting = asyncio.ensure_future(self._start(spec, None))
        try:
            process = self._commands[spec.id] = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await self._end(await starting, 0)
            raise
        timed_out = False
        try:
            async with asyncio.timeout(timeout_seconds):
                await process.ended.wait()
        except TimeoutError:
            timed_out = True
        finally:
            await self._end(process, 0)
        assert process.exit is not None
        return CommandResult(exit=process.exit, timed_out=timed_out)

    async def kill(self, command_id: str) -> None:
        if (process := self._commands.pop(command_id, None)) is not None:
            await self._end(process, 0)

    async def remove_environment(self, environment_id: str, *, term: int) -> None:
        raise_if_stale(self.folder / "runtime.term", term)
        shutil.rmtree(self.folder / "data" / environment_id, ignore_errors=True)

    async def ability(self) -> Ability:
        return Ability(own_user=False, cgroups="none", own_network=False, notes=("a fake: nothing is held apart",))

    async def check(self) -> Sequence[str]:
        return self.problems

    async def end_all(self) -> None:
        for process in [*self._instances.values(), *self._commands.values()]:
            await self._end(process, 0)
        _machines.pop(self.folder, None)

    async def _start(self, spec: CommandSpec, port: int | None) -> Process:
        folder = self.folder / "instances" / spec.id
        shutil.rmtree(folder, ignore_errors=True)
        app, data = folder / "app", self.folder / "data" / spec.environment_id
        if not (spec.release / spec.root).is_dir():
            raise StartFailed(f"The folder {spec.root or '/'} is not in the release.")
        shutil.copytree(spec.release, app, symlinks=True)
        for path in (app, *app.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o200)
        for made in (data, folder / "env"):
            made.mkdir(parents=True, exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(data), **spec.env, "CYGNI_DATA_DIR": str(data), MARK: spec.id}
        if port is not None:
            env["PORT"] = str(port)
        for key, content in spec.files.items():
            (folder / "env" / key).write_text(content)
            (folder / "env" / key).chmod(0o400)
            env[key] = str(folder / "env" / key)
        with spec.stdout.open("ab") as stdout, spec.stderr.open("ab") as stderr:
            child = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", spec.command),
                cwd=app / spec.root,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        address = None if port is None else Address(host="127.0.0.1", port=port)
        process = Process(id=spec.id, child=child, started_at=datetime.now(UTC), address=address)
        process.watch = asyncio.create_task(self._watch(process, app))
        return process

    async def _watch(self, process: Process, app: Path) -> None:
        code = await process.child.wait()
        while members := _members(process.id):
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.005)
        name = signal.Signals(-code).name if code < 0 else None
        process.exit = Exit(at=datetime.now(UTC), code=code if code >= 0 else None, signal=name, out_of_memory=False)
        shutil.rmtree(app, ignore_errors=True)
        process.ended.set()

    async def _end(self, process: Process, grace_seconds: float) -> None:
        if grace_seconds and not process.ended.is_set():
            self._signal(process, signal.SIGTERM)
            await asyncio.wait([asyncio.create_task(process.ended.wait())], timeout=grace_seconds)
        if not process.ended.is_set():
            self._signal(process, signal.SIGKILL)
        await process.ended.wait()

    def _signal(self, process: Process, sig: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.child.pid, sig)


def _members(process_id: str) -> list[int]:
    """Whoever has the process' mark in its environment, also daemons."""
    mark = f"{MARK}={process_id}".encode()
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.asynccontextmanager
async def fake_runtime(folder: Path) -> AsyncIterator[FakeRuntime]:
    runtime = FakeRuntime(folder)
    try:
        yield runtime
    finally:
        await runtime.end_all()
