"""How a source tree becomes an artifact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

FailureCode = Literal[
    "nothing_detected", "toolchain_missing", "source_invalid", "build_error", "build_timeout", "build_oom", "disk_full"
]


class BuildFailed(Exception):
    """The build ended without an artifact. `message` says what and why, `hint` what to do next."""

    def __init__(self, code: FailureCode, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.code: FailureCode = code
        self.message, self.hint = message, hint


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """What the project's API settings say; None: as cygni.toml says, else as detected."""

    root_dir: str | None = None
    install_command: str | None = None
    build_command: str | None = None
    output_dir: str | None = None
    release_command: str | None = None
    watch_paths: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    path: str
    timeout_seconds: int = 60
    interval_seconds: int = 10


@dataclass(frozen=True, kw_only=True)
class ProcessPlan:
    """One process type of the release. None: nobody said; the platform's default holds."""

    type: str
    command: str
    port: int | None = None
    protocol: Literal["http1", "h2c"] = "http1"
    keep_alive_seconds: int = 4
    health_check: HealthCheck | None = None
    instances: int | None = None
    cpu: float | None = None
    memory_mb: int | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything detection decided, and why."""

    kind: Literal["release", "static"]
    language: str
    """python, node, static, or procfile when nothing else was recognised beside it."""
    framework: str | None
    root: Path
    """The folder inside the tree that is built, relative to it: the root folder setting applied."""
    toolchain: str
    """`name-version` as chosen on this machine, or "" for static; part of the artifact's id."""
    tools: tuple[str, ...] = ()
    """`name-version` of further toolchains that building needs; they are not there when the release runs."""
    install_command: str | None
    """Without one, Python still gets a virtual environment."""
    install_files: tuple[str, ...] = ()
    """All that installing reads, relative to `install_root`; () when it reads the tree."""
    install_root: Path | None = None
    """The folder that is installed in, where it is another than `root`: that of the workspace."""
    install_members: tuple[str, ...] = ()
    """Folders in there that may get dependencies of their own, beside it."""
    install_made: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name → text of files that detection made for it: it finds them in /run/made."""
    install_key: str | None = None
    """Equal keys install the same, so the installation is shared by releases; None when installing reads the tree."""
    build_command: str | None
    output_dir: str | None
    release_command: str | None
    first_command: str | None = None
    """After the release command, as long as the environment has never been live: app.json's postdeploy."""
    processes: tuple[ProcessPlan, ...]
    fallback: str | None = None
    """static: the file served for unknown paths (single-page apps)."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Defaults from cygni.toml, app.json and the framework; the project's variables win."""
    watch_paths: tuple[str, ...] = ()
    """What a new commit must change to be built; (): anything."""
    reasons: tuple[str, ...] = ()
    """Log lines: what was found, what won, how to override it."""


@dataclass(frozen=True, kw_only=True)
class Asks:
    """What an app's files ask to be set on the project before it is built."""

    required: Mapping[str, str]
    """Variable → what it is for, or ""."""
    generated: frozenset[str]
    """Variables that may have any random value."""


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    id: str
    """`dep_….attempt`; names the cgroup."""
    project_id: str
    environment_id: str
    """Nothing that a build of one environment wrote is given to a build of another."""
    tree: Path
    tree_digest: str
    settings: BuildSettings
    framework: str | None
    env: Mapping[str, str]
    """Build variables, values in clear: handed to the build by execve only."""
    env_digest: str
    """Keyed hash of `env`, made by the caller (its key never comes here); part of the artifact's id."""
    secrets: Mapping[str, str]
    """key → value of secret build variables: searched for in the result; found → BuildFailed naming the file."""
    uid: int | None
    nonce: str
    """Part of the artifact's id; "" unless the cache must not be used."""
    clear_cache: bool
    log: Path
    """Append-only file for everything the build says."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    digest: str
    """`sha256:…` of the inputs; contents are not hashed again."""
    kind: Literal["release", "static"]
    path: Path
    """Read-only; it stays where it is. The release sees it as /app."""
    size_bytes: int
    reused: bool
    plan: Plan
    mounts: tuple[tuple[Path, str], ...] = ()
    """(folder or file of ours, where the release expects it): dependencies and toolchain, mounted read-only for
    whatever runs the release."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the toolchain needs to be found, such as PATH; every other source of variables wins."""


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What a builder has on the disk."""

    builds: frozenset[str]
    """Ids of builds that run, or have left something behind."""
    artifacts: frozenset[tuple[str, str]]
    """(project, digest)"""


class Builder(Protocol):
    async def build(self, request: BuildRequest) -> Artifact:
        """Detect, install, build, seal. Equal inputs return the kept artifact. Cancelling the task kills the
        build's whole group and leaves no half artifact. Raises BuildFailed."""
        ...

    async def kill(self, build_id: str) -> None:
        """End what an earlier attempt left running; idempotent."""
        ...

    async def inventory(self) -> Inventory:
        """As it is now: a build may begin or end while it is made."""
        ...

    async def remove(self, project_id: str, digest: str) -> None:
        """Delete an artifact; idempotent."""
        ...

    async def remove_environment(self, project_id: str, environment_id: str) -> None:
        """Delete the cache of a purged environment; idempotent. What was built for it stays, where it may have been
        promoted."""
        ...

    async def remove_project(self, project_id: str) -> None:
        """Delete every artifact and cache of a purged project; idempotent."""
        ...

    async def languages(self) -> Sequence[tuple[str, Sequence[str]]]:
        """(language, versions) found on this machine."""
        ...
