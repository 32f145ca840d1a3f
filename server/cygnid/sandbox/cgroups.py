"""Control groups, version 1 and 2: what a sandbox may use, what it used, and the end of all that is in it."""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cygnid.sandbox.spec import Limits

_PERIOD_US = 100_000
_V1 = ("memory", "pids", "cpu", "cpuacct")
_V2 = ("cpu", "memory", "pids")
_IO_V1, _IO_V2 = "blkio", "io"
_USUAL_SHARES = 1024
"""What version 1 calls a weight of 100."""


def files_v2(limits: Limits) -> dict[str, str]:
    """File → content of a version 2 group (Linux, admin-guide/cgroup-v2)."""
    return {
        "memory.max": str(limits.memory_mb * 1024 * 1024),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": str(limits.pids),
        "cpu.max": f"{max(1000, int(limits.cpu * _PERIOD_US))} {_PERIOD_US}",
    }


def files_v1(limits: Limits) -> dict[str, dict[str, str]]:
    """Controller → file → content of version 1 (Linux, admin-guide/cgroup-v1), in the order to write them."""
    memory = str(limits.memory_mb * 1024 * 1024)
    return {
        "memory": {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory},
        "pids": {"pids.max": str(limits.pids)},
        "cpu": {
            "cpu.cfs_period_us": str(_PERIOD_US),
            "cpu.cfs_quota_us": str(max(1000, int(limits.cpu * _PERIOD_US))),
        },
        "cpuacct": {},
    }


def weights_v2(weight: int) -> dict[str, str]:
    """File → content of a version 2 group whose usual weight were 100. Those of the disk are there only where a
    scheduler of the machine goes by them."""
    return {"cpu.weight": str(weight), "io.weight": f"default {weight}", "io.bfq.weight": f"default {weight}"}


def weights_v1(weight: int) -> dict[str, dict[str, str]]:
    """Controller → file → content of version 1, likewise."""
    return {
        "cpu": {"cpu.shares": str(max(2, weight * _USUAL_SHARES // 100))},
        _IO_V1: {"blkio.bfq.weight": str(weight)},
    }


@dataclass(frozen=True, kw_only=True)
class Usage:
    cpu_seconds: float
    memory_bytes: int
    """Without the file cache that could be given back."""


def _read(path: Path) -> str:
    """Empty when the group is gone, or goes while it is read (ENODEV)."""
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno == errno.ENODEV:
            return ""
        raise


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="ascii")
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def _value(text: str, key: str) -> int:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


@dataclass(frozen=True, kw_only=True)
class Group:
    """One sandbox's group. `folders`: controller → folder; version 2 has the single key "". On a machine with both,
    "" is a group without controllers whose `cgroup.kill` ends everything at once."""

    version: Literal["v1", "v2"]
    folders: Mapping[str, Path]

    @property
    def tasks(self) -> list[str]:
        """Files of version 1 by which a thread enters, by writing 0."""
        return [str(folder / "tasks") for controller, folder in self.folders.items() if controller]

    @property
    def unified(self) -> str | None:
        """The version 2 group to be born in."""
        return str(self.folders[""]) if "" in self.folders else None

    @property
    def exists(self) -> bool:
        return any(folder.exists() for folder in self.folders.values())

    def create(self, limits: Limits) -> None:
        """Raises OSError when a limit cannot be set; one that this kernel has no file for (swap) is left out."""
        wanted = {"": files_v2(limits)} if self.version == "v2" else files_v1(limits)
        for controller, folder in self.folders.items():
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in wanted.get(controller, {}).items():
                if name.startswith(("memory.memsw", "memory.swap", "memory.oom")) and not (folder / name).exists():
                    continue
                (folder / name).write_text(content, encoding="ascii")

    def usage(self) -> Usage:
        """Nothing for a group that is gone."""
        if self.version == "v2":
            folder = self.folders[""]
            cpu = _value(_read(folder / "cpu.stat"), "usage_usec") / 1e6
            memory, cache = _read(folder / "memory.current"), _value(_read(folder / "memory.stat"), "inactive_file")
        else:
            folder = self.folders["memory"]
            cpu = int(_read(self.folders["cpuacct"] / "cpuacct.usage") or 0) / 1e9
            memory = _read(folder / "memory.usage_in_bytes")
            cache = _value(_read(folder / "memory.stat"), "total_inactive_file")
        return Usage(cpu_seconds=cpu, memory_bytes=max(0, int(memory or 0) - cache))

    def out_of_memory_kills(self) -> int:
        folder = self.folders["" if self.version == "v2" else "memory"]
        return _value(_read(folder / ("memory.events" if self.version == "v2" else "memory.oom_control")), "oom_kill")

    def kill(self) -> None:
        """SIGKILL to every process in the group, however it daemonised. They may take a moment to be gone."""
        atomic = self.folders[""] / "cgroup.kill" if "" in self.folders else None
        if atomic is not None and atomic.exists():
            _write(atomic, "1")
            return
        folder = self.folders["" if self.version == "v2" else "pids"]
        _write(folder / "pids.max", "0")  # no forks any more: the loop below ends
        while pids := _read(folder / "cgroup.procs").split():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)

    def end(self) -> None:
        self.kill()
        self.remove()

    def remove(self, *, patience_seconds: float = 5.0) -> None:
        """Remove the group; the kernel lets go of the last processes a moment after their death. Idempotent."""
        deadline = time.monotonic() + patience_seconds
        for folder in self.folders.values():
            while True:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.002)  # the kernel reports no event for this
                    continue
                break


@dataclass(frozen=True, kw_only=True)
class Cgroups:
    """The installation's own parent groups; `name` is part of the path, so several installations live side by side.

    What runs in the background has parents of its own, beside those of everything else: a weight counts among
    siblings, and it is to give way to the programs outside of these groups too (the edge, the API, the database)."""

    version: Literal["v1", "v2"]
    parents: Mapping[str, Path]
    background: Mapping[str, Path]

    @classmethod
    def detect(cls, name: str, mounts: str, *, background_weight: int) -> "Cgroups | None":
        """`mounts` is the text of /proc/self/mounts. None where this process may not make groups with limits."""
        unified: Path | None = None
        controllers: dict[str, Path] = {}
        for line in mounts.splitlines():
            _, target, kind, flags, *_ = line.split(" ")
            if kind == "cgroup2":
                unified = Path(target)
            elif kind == "cgroup":
                controllers |= {flag: Path(target) for flag in flags.split(",") if flag in (*_V1, _IO_V1)}
        if set(_V1) <= controllers.keys():
            roots, version = controllers | ({} if unified is None else {"": unified}), "v1"
        elif unified is not None:
            roots, version = {"": unified}, "v2"
        else:
            return None
        found = cls(
            version=version,
            parents={controller: root / name for controller, root in roots.items() if controller != _IO_V1},
            background={controller: root / f"{name}-background" for controller, root in roots.items()},
        )
        return found if found.prepare(background_weight) else None

    def prepare(self, background_weight: int) -> bool:
        """Make the parents; False where that is refused."""
        try:
            for parent in (*self.parents.values(), *self.background.values()):
                parent.mkdir(parents=True, exist_ok=True)
            if self.version == "v2":
                root = self.parents[""].parent
                for folder in (root, self.parents[""], self.background[""]):
                    _delegate(folder, _V2)
                if _IO_V2 in (root / "cgroup.controllers").read_text(encoding="ascii").split():
                    _delegate(root, [_IO_V2])
            self._weigh(background_weight)
        except OSError:
            return False
        return True

    def _weigh(self, weight: int) -> None:
        wanted = {"": weights_v2(weight)} if self.version == "v2" else weights_v1(weight)
        for controller, files in wanted.items():
            for name, content in files.items():
                file = self.background[controller] / name if controller in self.background else None
                if file is not None and file.exists():
                    file.write_text(content, encoding="ascii")

    def group(self, name: str, *, background: bool = False) -> Group:
        parents = self.background if background else self.parents
        return Group(
            version=self.version, folders={controller: parent / name for controller, parent in parents.items()}
        )

    def remove(self) -> None:
        """Remove the parents, which must be empty."""
        for parent in (*self.parents.values(), *self.background.values()):
            with contextlib.suppress(FileNotFoundError):
                parent.rmdir()


def _delegate(folder: Path, controllers: Iterable[str]) -> None:
    """Let groups in this one have limits of these kinds. Raises OSError."""
    control = folder / "cgroup.subtree_control"
    given = control.read_text(encoding="ascii").split()
    missing = [f"+{name}" for name in controllers if name not in given]
    if missing:
        control.write_text(" ".join(missing), encoding="ascii")
