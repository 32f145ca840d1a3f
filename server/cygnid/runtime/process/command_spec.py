"""From a command to its sandbox: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cygnid.runtime.base import CommandSpec
from cygnid.sandbox.spec import Limits, Mount, SandboxSpec

APP, DATA, ENV_FILES = "/app", "/data", "/run/cygni/env"
DEFAULT_PORT = 8080
"""In a network of its own every instance may have the same."""


@dataclass(frozen=True, kw_only=True)
class InstanceLimits:
    """What an instance or command may use besides its own CPU and memory."""

    pids: int = 512
    disk_mb: int = 2048
    """Its overlay and its environment's /data together."""
    command_output_bytes: int = 16 << 20


def sandbox_spec(
    spec: CommandSpec,
    *,
    folder: Path,
    data: Path,
    port: int | None,
    mounts: Sequence[Mount],
    limits: InstanceLimits,
    seconds: float | None,
) -> SandboxSpec:
    """`data` is the environment's persistent folder. `seconds` is None for an instance, which runs until stopped."""
    return SandboxSpec(
        name=spec.id,
        folder=folder,
        argv=("/bin/sh", "-c", spec.command),
        env=environment(spec, port=port),
        cwd=f"{APP}/{spec.root}".rstrip("/"),
        uid=spec.uid,
        limits=Limits(
            cpu=spec.cpu,
            memory_mb=spec.memory_mb,
            pids=limits.pids,
            disk_mb=limits.disk_mb,
            seconds=seconds,
            output_bytes=None if seconds is None else limits.command_output_bytes,
        ),
        overlay=(spec.release, APP),
        mounts=(
            *mounts,
            *(Mount(source=source, target=target) for source, target in spec.mounts),
            Mount(source=data, target=DATA, writable=True),
        ),
        files={f"{ENV_FILES}/{key}": content.encode() for key, content in spec.files.items()},
        network="own",
        stdout=spec.stdout,
        stderr=spec.stderr,
    )


def environment(spec: CommandSpec, *, port: int | None) -> Mapping[str, str]:
    """The app's variables, over defaults that every program expects, under those that only the platform knows."""
    defaults = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": DATA, "USER": "app", "LANG": "C.UTF-8"}
    ours = {"CYGNI_DATA_DIR": DATA, "CYGNI_MEMORY_MB": str(spec.memory_mb)}
    ours |= {} if port is None else {"PORT": str(port)}
    files = {key: f"{ENV_FILES}/{key}" for key in spec.files}
    return {**defaults, **spec.env, **files, **ours}
