"""Sandboxes: made, found again, stopped, and their end told."""

import asyncio
import contextlib
import itertools
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cygnid.sandbox import ability as texts
from cygnid.sandbox.ability import SandboxAbility
from cygnid.sandbox.bubblewrap import Host, identity_files, options, overlay_folders
from cygnid.sandbox.cgroups import Cgroups, Group
from cygnid.sandbox.identity import Identity
from cygnid.sandbox.launched import Finished, Launched
from cygnid.sandbox.output import CappedOutput, open_output
from cygnid.sandbox.record import STATUS, Record
from cygnid.sandbox.resolvers import resolvers
from cygnid.sandbox.spec import BACKGROUND_WEIGHT, Limits, SandboxSpec
from cygnid.sandbox.starter import LaunchFailed, Starter

_NOBODY = 65534


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A network namespace, held by its descriptor alone: it goes when the last process in it has ended."""

    fd: int
    host: str


@dataclass(frozen=True, kw_only=True)
class _Given:
    """Descriptors of whoever launches."""

    stdin: int | None = None
    inherited: tuple[int, ...] = ()


class Networks(Protocol):
    """What makes own networks; `sandbox.network` on Linux as root."""

    async def prepare(self) -> None:
        """Raises OSError where it cannot."""
        ...

    async def take(self) -> Namespace:
        """The taker closes the descriptor."""
        ...

    async def close(self) -> None: ...


class Sandbox:
    """`name` is the installation's: its control groups are called by it. `folder` is on the file system where the
    sandboxes' folders are; other uids must be able to traverse it and to execute `bwrap`. `background_weight` is what
    everything in the background together weighs, where all the rest weighs 100, and each program beside it too."""

    def __init__(
        self,
        *,
        name: str,
        folder: Path,
        bwrap: Path,
        networks: Networks | None = None,
        background_weight: int = BACKGROUND_WEIGHT,
    ) -> None:
        self._name = name
        self._background_weight = background_weight
        self._folder = folder
        self._starter = Starter(bwrap)
        self._networks = networks if os.geteuid() == 0 else None
        self._cgroups: Cgroups | None = None
        self._host: Host | None = None
        self._ability: SandboxAbility | None = None
        self._launched: dict[str, Launched] = {}

    async def prepare(self) -> SandboxAbility:
        """Find out by trying what this machine holds. Call once, before anything else."""
        notes: list[str] = []
        root = os.geteuid() == 0
        mounts = await asyncio.to_thread(Path("/proc/self/mounts").read_text, "utf-8")
        self._cgroups = await asyncio.to_thread(
            Cgroups.detect, self._name, mounts, background_weight=self._background_weight
        )
        if not root:
            notes.append(texts.NOT_ROOT)
        elif self._cgroups is None:
            notes.append(texts.NO_CGROUPS)
        if self._cgroups is None and await asyncio.to_thread(_is_nice_grouped):
            notes.append(texts.NICE_IS_GROUPED)
        if self._networks is not None:
            try:
                await self._networks.prepare()
            except OSError as error:
                notes.append(f"no networks of their own for applications: {error}")
                self._networks = None
        works = await self._try_hosts(notes)
        self._ability = SandboxAbility(
            works=works,
            own_user=root,
            cgroups="none" if self._cgroups is None else self._cgroups.version,
            own_network=self._networks is not None,
            overlay=self._host is not None and self._host.overlay,
            own_overlay=self._host is not None and self._host.own_overlay,
            notes=notes,
        )
        return self._ability

    def ability(self) -> SandboxAbility:
        if self._ability is None:
            raise RuntimeError("prepare() comes first")
        return self._ability

    async def launch(
        self,
        spec: SandboxSpec,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        inherited: Sequence[int] = (),
    ) -> Launched:
        """Returns when the command is about to run. Its end, and all it left running, is taken care of. `stdin`, and
        `stdout` instead of `spec.stdout`, and `inherited` stay the caller's to close. Raises LaunchFailed with the
        reason."""
        given = _Given(stdin=stdin, inherited=tuple(inherited))
        output = open_output(spec.stdout) if stdout is None else os.dup(stdout)
        return await self._launch(spec, (output, open_output(spec.stderr)), given)

    async def run(self, spec: SandboxSpec) -> Finished:
        """Run to the end, or to a limit of time, disk or output. Cancelled, it kills all of it first. Raises
        LaunchFailed."""
        capped = None
        if spec.limits.output_bytes is not None:
            capped = CappedOutput(spec.limits.output_bytes, spec.stdout, spec.stderr)
        fds = (open_output(spec.stdout), open_output(spec.stderr)) if capped is None else capped.take()
        timed_out = False
        try:
            launched = await self._launch(spec, fds, _Given())
            try:
                async with asyncio.timeout(spec.limits.seconds):
                    ended = await launched.wait()
            except TimeoutError:
                timed_out = True
                ended = await launched.kill()
            finally:
                if not launched.ended:
                    await asyncio.shield(launched.kill())
        finally:
            if capped is not None:
                await capped.finish()
        return Finished(
            ended=ended,
            timed_out=timed_out,
            disk_exceeded=launched.disk_exceeded,
            output_dropped=0 if capped is None else capped.dropped,
        )

    async def adopt(self, folder: Path) -> Launched | None:
        """Take over what an earlier process launched in this folder, running or ended; None: nothing was."""
        record = await asyncio.to_thread(Record.load, folder)
        if record is None:
            return None
        if (known := self._launched.get(record.name)) is not None:
            return known
        return self._watch(record, folder, fds=None)

    async def kill(self, name: str, folder: Path) -> None:
        """End whatever runs under this name, launched by whomever; returns when nothing does. Idempotent."""
        launched = self._launched.get(name) or await self.adopt(folder)
        if launched is not None:
            await launched.kill()
        for background in (False, True):
            group = self._group(name, background=background)
            if group is not None and group.exists:
                await asyncio.to_thread(group.end)

    async def close(self) -> None:
        """Let go; what runs goes on."""
        for launched in list(self._launched.values()):
            await launched.release()
        self._launched.clear()
        await asyncio.to_thread(self._starter.close)
        if self._networks is not None:
            await self._networks.close()

    async def remove(self) -> None:
        """Remove the installation's traces from the machine; nothing of it may run any more."""
        if self._cgroups is not None:
            await asyncio.to_thread(self._cgroups.remove)

    async def _launch(self, spec: SandboxSpec, output: tuple[int, int], given: _Given) -> Launched:
        """Closes `output`."""
        offset = spec.stderr.stat().st_size
        start = asyncio.ensure_future(self._start(spec, output, given))
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            with contextlib.suppress(LaunchFailed):
                await (await start).kill()
            raise
        except LaunchFailed as error:
            said = await asyncio.to_thread(_tail, spec.stderr, offset)
            raise LaunchFailed(f"{error}{': ' if said else ''}{said}") from error

    async def _start(self, spec: SandboxSpec, output: tuple[int, int], given: _Given) -> Launched:
        namespace: Namespace | None = None
        try:
            if self._host is None:
                raise LaunchFailed("; ".join(self.ability().notes))
            if self._networks is not None and spec.network == "own":
                namespace = await self._networks.take()
            record, fds = await asyncio.to_thread(self._start_blocking, self._host, spec, output, given, namespace)
        finally:
            for fd in {*output, *([namespace.fd] if namespace else [])}:
                os.close(fd)
        return self._watch(record, spec.folder, fds=fds)

    def _start_blocking(
        self, host: Host, spec: SandboxSpec, output: tuple[int, int], given: _Given, namespace: Namespace | None
    ) -> tuple[Record, tuple[int, int]]:
        uid = spec.uid if os.geteuid() == 0 else None
        if uid is None and os.geteuid() == 0:
            raise LaunchFailed("run by root, a sandbox needs a uid of its own")
        written = tuple(str(mount.source) for mount in spec.mounts if mount.writable)
        if spec.overlay is not None and host.overlay:
            for folder in overlay_folders(spec.folder):
                folder.mkdir(parents=True, exist_ok=True)
                if uid is not None:
                    os.chown(folder, uid, uid)
            written = (*written, str(overlay_folders(spec.folder)[0]))
        identity = identity_files(
            uid=os.getuid() if uid is None else uid, resolvers=resolvers(own_network=namespace is not None)
        )
        group = self._group(spec.name, background=spec.limits.background)
        try:
            if group is not None:
                group.create(spec.limits)
            started = self._starter.start(
                options=options(spec, host, identity),
                argv=spec.argv,
                uid=uid,
                files=[*identity.values(), *spec.files.values()],
                output=output,
                stdin=given.stdin,
                inherited=given.inherited,
                status=spec.folder / STATUS,
                group=group,
                namespace=None if namespace is None else namespace.fd,
                limits=spec.limits,
                lower=spec.overlay[0] if spec.overlay is not None and host.own_overlay and uid is not None else None,
            )
        except (LaunchFailed, OSError) as error:
            if group is not None:
                group.end()
            raise error if isinstance(error, LaunchFailed) else LaunchFailed(str(error)) from error
        record = Record(
            name=spec.name,
            started_at=datetime.now(UTC).isoformat(),
            watcher=Identity.of(started.watcher),
            init=Identity.of(started.init),
            host=None if namespace is None else namespace.host,
            disk_mb=spec.limits.disk_mb,
            written=written,
            stderr=str(spec.stderr),
            background=spec.limits.background,
        )
        record.save(spec.folder)
        return record, (started.watcher_fd, started.init_fd)

    def _watch(self, record: Record, folder: Path, *, fds: tuple[int, int] | None) -> Launched:
        group = self._group(record.name, background=record.background)
        launched = Launched(record=record, folder=folder, group=group)
        self._launched[record.name] = launched
        launched.watch(fds, lambda: self._launched.pop(record.name, None))
        return launched

    def _group(self, name: str, *, background: bool) -> Group | None:
        return None if self._cgroups is None else self._cgroups.group(name, background=background)

    async def _try(self, host: Host) -> None:
        """Make a sandbox that does next to nothing. Raises LaunchFailed."""
        self._host = host
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="try-") as made:
            folder = Path(made)
            folder.chmod(0o711)
            (folder / "release").mkdir(mode=0o755)
            (folder / "release" / "file").touch(mode=0o644)
            spec = SandboxSpec(
                name=folder.name,
                folder=folder,
                argv=("/bin/sh", "-c", "echo > /app/file" if host.own_overlay else "true"),
                env={},
                cwd="/",
                uid=_NOBODY,
                limits=Limits(cpu=1, memory_mb=64),
                overlay=(folder / "release", "/app"),
                network="host",
                stdout=folder / "output",
                stderr=folder / "output",
            )
            ended = (await self.run(spec)).ended
            if ended.code != 0:
                raise LaunchFailed(f"/bin/sh ended with {ended.code or ended.signal}")

    async def _try_hosts(self, notes: list[str]) -> bool:
        """The most that this kernel grants, found by making sandboxes that do next to nothing."""
        reason = ""
        for (overlay, own_overlay), disable_userns in itertools.product(
            ((True, True), (True, False), (False, False)), (True, False)
        ):
            host = await asyncio.to_thread(
                Host.look, overlay=overlay, own_overlay=own_overlay, disable_userns=disable_userns
            )
            try:
                await self._try(host)
            except LaunchFailed as error:
                reason = str(error)
                continue
            notes += [] if overlay else [texts.NO_OVERLAY]
            notes += [] if own_overlay or not overlay else [texts.NO_OWN_OVERLAY]
            notes += [] if disable_userns else [texts.NESTED_USERNS]
            return True
        self._host = None
        notes.append(texts.NO_USER_NAMESPACES.format(reason=reason))
        return False


def _is_nice_grouped() -> bool:
    """A session is a scheduling group of its own (sched(7), autogroup), and each sandbox is a session."""
    switch = Path("/proc/sys/kernel/sched_autogroup_enabled")
    return switch.exists() and switch.read_text(encoding="ascii").strip() == "1"


def _tail(path: Path, offset: int) -> str:
    """The last line written since."""
    with path.open("rb") as file:
        file.seek(max(offset, path.stat().st_size - 500))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""
