"""Instances and commands as sandboxed processes of this machine."""

import asyncio
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
from cygnid.runtime.process.check import check
from cygnid.runtime.process.command_spec import DEFAULT_PORT, InstanceLimits, sandbox_spec
from cygnid.runtime.process.probe import probe
from cygnid.runtime.process.sockets import connections, listeners, listening
from cygnid.runtime.process.term import highest_term, raise_if_stale
from cygnid.sandbox.disk import remove_tree
from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.launched import Launched
from cygnid.sandbox.record import Ended
from cygnid.sandbox.spec import Mount
from cygnid.sandbox.starter import LaunchFailed

LOOPBACK = "127.0.0.1"
PORT = "instance.json"


@dataclass(kw_only=True)
class _Instance:
    launched: Launched
    port: int | None
    reachable: bool = False
    """Seen to listen; looked for no more: an app that stops listening and lives on is what probes are for."""

    @property
    def address(self) -> Address | None:
        return None if self.port is None else Address(host=self.launched.host or LOOPBACK, port=self.port)


class ProcessRuntime:
    """`folder` is the platform's data folder, which other users can pass through; `mounts` are the toolchains, shown
    to every instance. Two of these over one folder, one of them stale, do no harm: see `term`.

    In `folder`: instances/<id>/ and commands/<id>/ (what is known of each, and its disposable overlay) and
    data/<environment id>/ (what an environment keeps)."""

    def __init__(
        self, *, folder: Path, sandbox: Sandbox, mounts: Sequence[Mount] = (), limits: InstanceLimits | None = None
    ) -> None:
        self._instances = folder / "instances"
        self._commands = folder / "commands"
        self._data = folder / "data"
        self._term = folder / "runtime.term"
        self._sandbox = sandbox
        self._mounts = tuple(mounts)
        self._limits = limits or InstanceLimits()
        self._found: dict[str, _Instance] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def prepare(self) -> None:
        """Make the folders and find the instances that run. Call once, before anything else."""
        for folder in (self._instances, self._commands, self._data):
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            folder.chmod(0o711)
        for folder in sorted(self._instances.iterdir()):
            await self._find(folder.name)

    async def start(self, spec: InstanceSpec, *, term: int) -> Address | None:
        async with self._locks.setdefault(spec.id, asyncio.Lock()):
            await self._lead(term)
            if (instance := await self._find(spec.id)) is not None:
                return instance.address
            folder = self._instances / spec.id
            await self._sandbox.kill(spec.id, folder)  # what a start that was interrupted may have left
            port = None if spec.port is None else self._port(spec.port)
            instance = _Instance(launched=await self._launch(spec, folder, port), port=port)
            self._found[spec.id] = instance
            return instance.address

    async def stop(self, instance_id: str, *, grace_seconds: float, term: int) -> None:
        await self._lead(term)
        if (instance := await self._find(instance_id)) is not None:
            await instance.launched.stop(grace_seconds=grace_seconds)
        else:
            await self._sandbox.kill(instance_id, self._instances / instance_id)

    async def forget(self, instance_id: str, *, term: int) -> None:
        await self.stop(instance_id, grace_seconds=0, term=term)
        await asyncio.to_thread(remove_tree, self._instances / instance_id)
        self._found.pop(instance_id, None)
        self._locks.pop(instance_id, None)

    async def observe(self) -> Sequence[Observed]:
        for name in await asyncio.to_thread(os.listdir, self._instances):
            await self._find(name)
        found = [(instance, instance.launched.ended) for _, instance in sorted(self._found.items())]
        return await asyncio.to_thread(lambda: [_observe(instance, ended) for instance, ended in found])

    async def probe(
        self, address: Address, *, host: str, path: str, protocol: HttpProtocol, scheme: str, timeout_seconds: float
    ) -> ProbeResult:
        return await probe(
            address, host=host, path=path, protocol=protocol, scheme=scheme, timeout_seconds=timeout_seconds
        )

    async def connections(self, address: Address) -> int:
        return await asyncio.to_thread(connections, host=address.host, port=address.port)

    async def run(self, spec: CommandSpec, *, timeout_seconds: float) -> CommandResult:
        folder = self._commands / spec.id
        await self.kill(spec.id)
        await self._prepare(spec, folder)
        sandboxed = sandbox_spec(
            spec,
            folder=folder,
            data=self._data / spec.environment_id,
            port=None,
            mounts=self._mounts,
            limits=self._limits,
            seconds=timeout_seconds,
        )
        try:
            finished = await self._sandbox.run(sandboxed)
        except LaunchFailed as error:
            raise StartFailed(str(error)) from error
        finally:
            await asyncio.shield(asyncio.to_thread(remove_tree, folder))
        return CommandResult(exit=_exit(finished.ended), timed_out=finished.timed_out)

    async def kill(self, command_id: str) -> None:
        folder = self._commands / command_id
        await self._sandbox.kill(command_id, folder)
        await asyncio.to_thread(remove_tree, folder)

    async def remove_environment(self, environment_id: str, *, term: int) -> None:
        await self._lead(term)
        await asyncio.to_thread(remove_tree, self._data / environment_id)

    async def ability(self) -> Ability:
        found = self._sandbox.ability()
        return Ability(
            own_user=found.own_user, cgroups=found.cgroups, own_network=found.own_network, notes=tuple(found.notes)
        )

    async def check(self) -> Sequence[str]:
        return await check(self._sandbox, self._commands)

    async def stop_all(self, *, grace_seconds: float) -> None:
        """Stop and forget every instance and command, as whoever led last: for when nobody leads any more."""
        term = await asyncio.to_thread(highest_term, self._term)

        async def end(name: str) -> None:
            await self.stop(name, grace_seconds=grace_seconds, term=term)
            await self.forget(name, term=term)

        instances, commands = await asyncio.to_thread(lambda: (os.listdir(self._instances), os.listdir(self._commands)))
        await asyncio.gather(*map(end, instances), *map(self.kill, commands))

    async def _lead(self, term: int) -> None:
        await asyncio.to_thread(raise_if_stale, self._term, term)

    async def _launch(self, spec: InstanceSpec, folder: Path, port: int | None) -> Launched:
        await self._prepare(spec, folder)
        await asyncio.to_thread((folder / PORT).write_text, json.dumps({"port": port}), "ascii")
        sandboxed = sandbox_spec(
            spec,
            folder=folder,
            data=self._data / spec.environment_id,
            port=port,
            mounts=self._mounts,
            limits=self._limits,
            seconds=None,
        )
        try:
            return await self._sandbox.launch(sandboxed)
        except LaunchFailed as error:
            raise StartFailed(str(error)) from error

    async def _prepare(self, spec: CommandSpec, folder: Path) -> None:
        def make() -> None:
            root = (spec.release / spec.root).resolve()
            if not root.is_dir() or not root.is_relative_to(spec.release.resolve()):
                raise StartFailed(f"The folder {spec.root or '/'} is not in the release.")
            folder.mkdir(mode=0o711, exist_ok=True)
            for output in (spec.stdout, spec.stderr):
                output.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            data = self._data / spec.environment_id
            data.mkdir(mode=0o700, exist_ok=True)
            if spec.uid is not None and data.stat().st_uid != spec.uid:
                os.chown(data, spec.uid, spec.uid)

        await asyncio.to_thread(make)

    def _port(self, wanted: int) -> int:
        """Free to choose in a network of its own; in the machine's only what nobody holds."""
        if self._sandbox.ability().own_network:
            return wanted or DEFAULT_PORT
        taken = {instance.port for instance in self._found.values() if not instance.launched.ended}
        for port in (wanted, 0, 0, 0, 0):
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind((LOOPBACK, port))
                except OSError:
                    continue
                found = int(listener.getsockname()[1])
            if found not in taken:
                return found
        raise StartFailed("No TCP port is free.")

    async def _find(self, instance_id: str) -> _Instance | None:
        """The instance, also one that another process started; None: it was not started, or not to the end."""
        if (known := self._found.get(instance_id)) is not None:
            return known
        folder = self._instances / instance_id
        launched = await self._sandbox.adopt(folder)
        if launched is None:
            return None
        port = json.loads(await asyncio.to_thread((folder / PORT).read_bytes))["port"]
        instance = self._found.setdefault(instance_id, _Instance(launched=launched, port=port))
        if not launched.record.watcher.alive:
            await launched.wait()
        return instance


def _observe(instance: _Instance, ended: Ended | None) -> Observed:
    launched = instance.launched
    usage = launched.usage()
    heard, other_ports = ("no", ()) if ended or instance.address is None else _heard(instance, instance.address)
    return Observed(
        id=launched.record.name,
        running=ended is None,
        started_at=launched.started_at,
        address=instance.address,
        listening=heard,
        exit=None if ended is None else _exit(ended),
        cpu_seconds=usage.cpu_seconds,
        memory_bytes=usage.memory_bytes,
        other_ports=other_ports,
    )


def _heard(instance: _Instance, address: Address) -> tuple[Literal["reachable", "loopbackOnly", "no"], tuple[int, ...]]:
    """Whether it listens where it should; else the ports where it does, if only its own can be seen."""
    if instance.reachable:
        return "reachable", ()
    sockets = listeners(instance.launched.record.init.pid)
    found = listening(sockets, host=address.host, port=address.port)
    instance.reachable = found == "reachable"
    if found != "no" or address.host == LOOPBACK:
        return found, ()
    return found, tuple(sorted({each.local[1] for each in sockets}))


def _exit(ended: Ended) -> Exit:
    return Exit(at=ended.at, code=ended.code, signal=ended.signal, out_of_memory=ended.out_of_memory)
