"""How an artifact becomes running instances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

HttpProtocol = Literal["http1", "h2c"]
"""What an app speaks on its port; h2c: HTTP/2 without TLS, with prior knowledge, as gRPC servers do."""


class StaleLeader(Exception):
    """A newer leader has acted on this folder: the caller must stop."""


class StartFailed(Exception):
    """The instance could not be made; `message` is for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Address:
    host: str
    port: int


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """A command in the corner of an environment: an instance, a release command, later a job."""

    id: str
    """`inst_…` or `dep_….release.attempt`: names folder and cgroup."""
    environment_id: str
    release: Path
    """The sealed release folder; the command runs in a disposable overlay over it, at /app."""
    root: str
    """Folder inside the release to run in; "" for its top."""
    command: str
    """Run by the shell, `sh -c <command>`: no `exec` is put before it, which would cut `a && b` off after `a`."""
    env: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """KEY → content: written to the tmpfs file /run/cygni/env/<KEY>, whose path is put into env[KEY]."""
    mounts: tuple[tuple[Path, str], ...] = ()
    """The artifact's mounts: (folder or file of ours, target), read-only; targets under /app lie over the release."""
    uid: int | None
    cpu: float
    memory_mb: int
    stdout: Path
    stderr: Path


@dataclass(frozen=True, kw_only=True)
class InstanceSpec(CommandSpec):
    port: int | None
    """None: a worker. Else the port asked for, or 0: the runtime chooses; given to the process as PORT."""


@dataclass(frozen=True, kw_only=True)
class Exit:
    at: datetime
    code: int | None
    """None when a signal ended it."""
    signal: str | None
    out_of_memory: bool


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What the machine says of an instance now."""

    id: str
    running: bool
    started_at: datetime
    address: Address | None
    """None: no port."""
    listening: Literal["reachable", "loopbackOnly", "no"]
    """Whether something listens on its port where the edge can reach it."""
    exit: Exit | None
    cpu_seconds: float
    memory_bytes: int
    other_ports: tuple[int, ...] = ()
    """Where it listens while nothing does on its port; known of an instance with a network of its own."""


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    status: int | None
    """HTTP status; None: no answer."""
    error: str | None
    """Why there was none, one line."""
    duration_ms: int


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    exit: Exit
    timed_out: bool


@dataclass(frozen=True, kw_only=True)
class Ability:
    """What the sandbox can hold on this machine, for /v1/capabilities and doctor."""

    own_user: bool
    cgroups: Literal["v1", "v2", "none"]
    own_network: bool
    notes: Sequence[str]
    """What is missing and how to get it, a line each."""


class Runtime(Protocol):
    """`term` is the caller's leadership term: lower than the highest seen raises StaleLeader."""

    async def start(self, spec: InstanceSpec, *, term: int) -> Address | None:
        """Start once; a second call with the same id answers the same. Returns when the process is made, not when
        it listens; the address when it has a port. Raises StartFailed, StaleLeader."""
        ...

    async def stop(self, instance_id: str, *, grace_seconds: float, term: int) -> None:
        """SIGTERM, grace, then the whole group; returns when nothing of it runs. Its overlay is gone, its output
        files and exit stay until `forget`. Idempotent."""
        ...

    async def forget(self, instance_id: str, *, term: int) -> None:
        """Delete the stopped instance's folder. Idempotent."""
        ...

    async def observe(self) -> Sequence[Observed]:
        """Every instance that was started and not forgotten, also those started by an earlier process."""
        ...

    async def probe(
        self, address: Address, *, host: str, path: str, protocol: HttpProtocol, scheme: str, timeout_seconds: float
    ) -> ProbeResult:
        """One GET to the instance itself in the protocol that it speaks, with the app's Host and the `scheme` of its
        URL as X-Forwarded-Proto; no redirect followed."""
        ...

    async def connections(self, address: Address) -> int:
        """Established TCP connections to the instance's port: 0 means drained."""
        ...

    async def run(self, spec: CommandSpec, *, timeout_seconds: float) -> CommandResult:
        """Run to its end. Cancelling the task kills the whole group. Raises StartFailed."""
        ...

    async def kill(self, command_id: str) -> None:
        """End what an earlier attempt of `run` left; idempotent."""
        ...

    async def remove_environment(self, environment_id: str, *, term: int) -> None:
        """Delete the persistent /data of a purged environment; idempotent."""
        ...

    async def ability(self) -> Ability: ...

    async def check(self) -> Sequence[str]:
        """Make one instance, resolve a name, connect out; [] or what is wrong, a line each (doctor)."""
        ...
