"""What a sandboxed command is: plain data, no I/O. `sandbox.launch` makes it real."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

BACKGROUND_WEIGHT = 5
"""Of what runs in the background: it gets on, and takes a twentieth from applications that want the whole machine."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a sandbox may use. A limit that the machine cannot enforce is named by `sandbox.ability()`."""

    cpu: float
    """Cores."""
    memory_mb: int
    pids: int = 256
    disk_mb: int | None = None
    """Everything written to the overlay and to writable mounts of this sandbox, swept while it runs."""
    seconds: float | None = None
    """Wall time; None: runs until it ends or is stopped."""
    output_bytes: int | None = None
    """Standard output and error together; of more, a note stands for what is between the beginning and the end."""
    background: bool = False
    """It gives way to everything that is not: processor and disk by weight in a control group and by nice and ionice,
    memory by being the first to go when the machine has none left."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """One command in its own corner of the machine."""

    name: str
    """Unique on this installation, `[A-Za-z0-9_.-]+`: names the cgroup."""
    folder: Path
    """Holds the exit status file, passwd, resolv.conf and overlay; owned by us, made by the caller's adapter."""
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """The whole environment; handed over by execve only."""
    cwd: str
    uid: int | None
    """None: the caller's own uid (not root)."""
    limits: Limits
    mounts: tuple[Mount, ...] = ()
    overlay: tuple[Path, str] | None = None
    """(read-only lower folder, target): writes go to a disposable folder inside `folder`."""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """Target path → content, 0400, on the sandbox's own tmpfs; never on disk."""
    network: Literal["own", "host", "none"] = "own"
    """own: a network namespace on the installation's bridge, where it can; host: for builds, filtered by uid."""
    inherited: int = 0
    """How many descriptors of the caller the command gets, from `bubblewrap.INHERITED_FD` on."""
    stdout: Path
    stderr: Path
    """Append-only files; may be the same path."""
