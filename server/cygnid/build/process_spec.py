"""What a build step sees and may do: from a plan to sandboxes, pure."""

import hashlib
import json
import posixpath
import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cygnid.build.base import BuildRequest, Plan
from cygnid.build.toolchains import SYSTEM, Toolchain
from cygnid.sandbox.spec import Limits, Mount, SandboxSpec

APP = "/app"
CACHE = "/cache"
CACHES = ("home", "uv", "pip", "npm")
"""What of a project's cache builds see, each mounted by itself: they must not own the folder that holds them, where
they could put links in place of them, to be followed by the platform."""
TOOLS = "/run/tools"
DEPENDENCIES = {"python": ".venv", "node": "node_modules"}
_TOOL_FOLDERS = (".cache", ".vite", ".vite-temp")
"""Where bundlers write inside of node_modules, also when they only build."""
_FORMAT = "1"
"""Part of every id: raise it when the same inputs would build something else."""


@dataclass(frozen=True, kw_only=True)
class BuildLimits:
    cpu: float = 2
    memory_mb: int = 2048
    pids: int = 1024
    disk_mb: int = 4096
    seconds: float = 900
    """For all steps of a build together."""
    output_bytes: int = 16 << 20


def app_root(plan: Plan) -> str:
    """The built folder as the release sees it."""
    return posixpath.normpath(posixpath.join(APP, plan.root.as_posix()))


def dependencies_folder(plan: Plan) -> str | None:
    """Where an installation that several releases share is mounted; None: it is part of the release, or there is
    none."""
    name = DEPENDENCIES.get(plan.language)
    if name is None or plan.install_key is None or (plan.language == "node" and plan.install_command is None):
        return None
    return f"{app_root(plan)}/{name}"


def dependencies_id(plan: Plan, request: BuildRequest, machine: str) -> str:
    """Hex of the hash over everything that decides what is installed."""
    where = plan.root.as_posix()
    env = json.dumps(dict(plan.env), sort_keys=True)
    how = (plan.install_key, plan.install_command, plan.toolchain, machine)
    return _hash("dependencies", *how, where, env, request.env_digest, request.nonce)


def artifact_id(plan: Plan, request: BuildRequest, machine: str) -> str:
    """Hex of the hash over everything that decides what is built."""
    what = (request.tree_digest, plan.kind, plan.root.as_posix(), plan.output_dir)
    how = (plan.install_key, plan.install_command, plan.build_command, plan.toolchain, machine)
    return _hash("artifact", *what, *how, request.env_digest, request.nonce)


def _hash(*inputs: str | None) -> str:
    return hashlib.sha256(json.dumps([_FORMAT, *inputs]).encode()).hexdigest()


def search_path(plan: Plan, toolchain: Toolchain | None) -> str:
    root = app_root(plan)
    folders = [f"{root}/.venv/bin"] if plan.language == "python" else []
    folders += [f"{root}/node_modules/.bin"] if plan.language == "node" else []
    folders += [str(toolchain.bin)] if toolchain and not toolchain.bin.is_relative_to(SYSTEM) else []
    return ":".join((*folders, "/usr/local/bin", "/usr/bin", "/bin"))


def release_env(plan: Plan, toolchain: Toolchain | None) -> dict[str, str]:
    """What whatever runs the release needs in order to find its language."""
    env = {"PATH": search_path(plan, toolchain), "LANG": "C.UTF-8"}
    if plan.language == "python":
        env |= {"VIRTUAL_ENV": f"{app_root(plan)}/.venv", "PYTHONUNBUFFERED": "1"}
    if plan.language == "node":
        env |= {"NODE_ENV": "production"}
    return env


def toolchain_mounts(toolchain: Toolchain | None) -> tuple[tuple[Path, str], ...]:
    if toolchain is None or toolchain.root.is_relative_to(SYSTEM):
        return ()
    return ((toolchain.root, str(toolchain.root)),)


def install_script(plan: Plan, toolchain: Toolchain, *, custom: bool) -> str:
    """A virtual environment of Python is made where it will be used and never moved: its scripts name its path."""
    lines: list[str] = []
    if plan.language == "python":
        command = plan.install_command or ""
        seed = " --seed" if custom and re.search(r"(?<!uv )\bpip3?\b", command) else ""
        lines.append(f"uv venv -q{seed} --python {shlex.quote(str(toolchain.python))} .venv")
    if plan.install_command:
        lines.append(plan.install_command)
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Corner:
    """What all steps of one build share."""

    request: BuildRequest
    plan: Plan
    toolchain: Toolchain | None
    uv: Path
    limits: BuildLimits
    cache: Path
    """The project's own, kept over builds."""
    runs: Path
    """Holds a folder for each step."""
    deadline: float
    """By time.monotonic(), for all steps together."""
    build_env: Mapping[str, str]
    """The operator's: indexes, proxies, certificates."""

    def step(
        self, name: str, script: str, *, work: Path, work_at: str, dependencies: Path | None = None
    ) -> SandboxSpec:
        """Run `script` in the app's folder. `work` is mounted at `work_at`, the only place that lasts besides the
        cache; `dependencies` where the release will have them, read-only."""
        mounts = [Mount(source=work, target=work_at, writable=True)]
        mounts += [Mount(source=self.cache / name, target=f"{CACHE}/{name}", writable=True) for name in CACHES]
        mounts += [Mount(source=source, target=target) for source, target in toolchain_mounts(self.toolchain)]
        mounts.append(Mount(source=self.uv, target=f"{TOOLS}/uv"))
        target = dependencies_folder(self.plan)
        if dependencies is not None and target is not None:
            mounts.append(Mount(source=dependencies, target=target))
            if self.plan.language == "node":
                mounts += [
                    Mount(source=self.cache / "tools" / folder, target=f"{target}/{folder}", writable=True)
                    for folder in _TOOL_FOLDERS
                ]
        return SandboxSpec(
            name=f"{self.request.id}.{name}",
            folder=self.runs / name,
            argv=("/bin/sh", "-ec", script),
            env=self.env(),
            cwd=app_root(self.plan),
            uid=self.request.uid,
            limits=Limits(
                cpu=self.limits.cpu,
                memory_mb=self.limits.memory_mb,
                pids=self.limits.pids,
                disk_mb=self.limits.disk_mb,
                seconds=max(self.deadline - time.monotonic(), 0.1),
                output_bytes=self.limits.output_bytes,
            ),
            mounts=tuple(mounts),
            network="host",
            stdout=self.request.log,
            stderr=self.request.log,
        )

    def env(self) -> dict[str, str]:
        env = release_env(self.plan, self.toolchain)
        env["PATH"] = f"{env['PATH']}:{TOOLS}"
        env |= {
            "HOME": f"{CACHE}/home",
            "CI": "1",
            "NO_COLOR": "1",
            "CYGNI": "1",
            "CYGNI_PROJECT_ID": self.request.project_id,
        }
        if self.plan.language == "python":
            env |= {
                "UV_CACHE_DIR": f"{CACHE}/uv",
                "UV_LINK_MODE": "copy",  # the cache is another mount, where no hard link leads
                "UV_PYTHON_DOWNLOADS": "never",
                "UV_NO_PROGRESS": "1",
                "UV_COMPILE_BYTECODE": "1",
                "UV_PROJECT_ENVIRONMENT": env["VIRTUAL_ENV"],
                "PYC_INVALIDATION_MODE": "UNCHECKED_HASH",  # no change of time makes the app compile at its start
                "PIP_CACHE_DIR": f"{CACHE}/pip",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            }
        if self.plan.language == "node":
            env |= {
                "npm_config_cache": f"{CACHE}/npm",
                "npm_config_update_notifier": "false",
                "npm_config_fund": "false",
                "npm_config_audit": "false",
            }
        return {**env, **self.build_env, **self.plan.env, **self.request.env}


def prepare_folders(corner: Corner) -> list[Path]:
    """Folders of the cache that must exist and belong to the build's user; those that hold them must not."""
    return [corner.cache / name for name in CACHES] + [corner.cache / "tools" / folder for folder in _TOOL_FOLDERS]


def mount_points(plan: Plan) -> tuple[str, ...]:
    """Empty folders inside of a shared installation that a build's own caches lie over."""
    return _TOOL_FOLDERS if plan.language == "node" else ()
