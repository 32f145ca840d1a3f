"""What a build step sees and may do: from a plan to sandboxes, pure."""

import hashlib
import json
import posixpath
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cygnid.build.base import BuildRequest, Plan
from cygnid.build.detect.files import FolderFiles
from cygnid.build.detect.language import MADE, Installing, Recipe
from cygnid.build.detect.languages import recipe_of
from cygnid.build.toolchains import SYSTEM, Toolchain
from cygnid.sandbox.spec import Limits, Mount, SandboxSpec

APP = "/app"
CACHE = "/cache"
LENT = "/run/downloads"
HOME = "home"
TOOLS = "/run/tools"
_SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
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


def install_root(plan: Plan) -> Path:
    """The folder of the source that is installed in: its own, or its workspace's."""
    return plan.root if plan.install_root is None else plan.install_root


def install_home(plan: Plan) -> str:
    """The same as the release sees it."""
    return posixpath.normpath(posixpath.join(APP, install_root(plan).as_posix()))


def dependency_folders(plan: Plan) -> tuple[str, ...]:
    """Where dependencies may be after installing, relative to `install_root`; the first is there always."""
    name = recipe_of(plan.language).dependencies
    if name is None or not installs(plan):
        return ()
    return (name, *(f"{member}/{name}" for member in plan.install_members))


def shares(plan: Plan) -> bool:
    """Whether the installation is mounted where `dependency_folders` says; else it is part of the release, or there is
    none."""
    return plan.install_key is not None and dependency_folders(plan) != ()


def installed_folders(plan: Plan, installation: Path) -> list[str]:
    """Those of `dependency_folders` that an installation has; a link is none, since it was made by a build."""
    found = [folder for folder in dependency_folders(plan) if (installation / folder).is_dir()]
    return [folder for folder in found if (installation / folder).resolve() == installation.resolve() / folder]


def dependency_mounts(plan: Plan, installation: Path) -> list[tuple[Path, str]]:
    """Where a release finds the installation that it shares with others."""
    home = install_home(plan)
    return [(installation / folder, f"{home}/{folder}") for folder in installed_folders(plan, installation)]


def installs(plan: Plan) -> bool:
    return plan.install_command is not None or recipe_of(plan.language).always_installs


def dependencies_id(plan: Plan, request: BuildRequest, machine: str) -> str:
    """Hex of the hash over everything that decides what is installed; the environment does by its cache, which its
    builds can write."""
    where = install_root(plan).as_posix()
    env = json.dumps(dict(plan.env), sort_keys=True)
    how = (plan.install_key, plan.install_command, plan.toolchain, *plan.tools, machine, *mount_points(plan))
    return _hash("dependencies", request.environment_id, *how, where, env, request.env_digest, request.nonce)


def artifact_id(plan: Plan, request: BuildRequest, machine: str) -> str:
    """Hex of the hash over everything that decides what is built, the environment as for `dependencies_id`."""
    what = (request.tree_digest, plan.kind, plan.root.as_posix(), plan.output_dir)
    how = (plan.install_key, plan.install_command, plan.build_command, plan.toolchain, *plan.tools, machine)
    return _hash("artifact", request.environment_id, *what, *how, request.env_digest, request.nonce)


def _hash(*inputs: str | None) -> str:
    return hashlib.sha256(json.dumps([_FORMAT, *inputs]).encode()).hexdigest()


def release_env(plan: Plan, toolchain: Toolchain | None) -> dict[str, str]:
    """What whatever runs the release needs in order to find its language."""
    recipe = recipe_of(plan.language)
    needed = None if recipe.runs_alone else toolchain
    return {
        "PATH": search_path(plan, *([needed] if needed else [])),
        "LANG": "C.UTF-8",
        **_filled(recipe.env, plan, toolchain),
    }


def search_path(plan: Plan, *toolchains: Toolchain) -> str:
    first = toolchains[0] if toolchains else None
    folders = [_fill(folder, plan, first) for folder in recipe_of(plan.language).path]
    folders += [str(chain.bin) for chain in toolchains if str(chain.bin) not in _SYSTEM_PATH]
    return ":".join(dict.fromkeys((*folders, *_SYSTEM_PATH)))


def _filled(
    texts: Mapping[str, str], plan: Plan, toolchain: Toolchain | None, heap_mb: int | None = None
) -> dict[str, str]:
    return {name: _fill(text, plan, toolchain, heap_mb) for name, text in texts.items()}


def _fill(text: str, plan: Plan, toolchain: Toolchain | None, heap_mb: int | None = None) -> str:
    where = {"root": app_root(plan), "home": install_home(plan), "cache": CACHE, "heap_mb": heap_mb}
    return text.format_map({**where, "toolchain": str(toolchain.root) if toolchain else ""})


def toolchain_mounts(*toolchains: Toolchain) -> tuple[tuple[Path, str], ...]:
    roots = [chain.root for chain in toolchains if not chain.root.is_relative_to(SYSTEM)]
    paths = dict.fromkeys([*roots, *(path for chain in toolchains for path in chain.also)])
    return tuple((path, str(path)) for path in paths)


def release_mounts(plan: Plan, toolchain: Toolchain | None) -> tuple[tuple[Path, str], ...]:
    """Of the toolchain, where what was built needs it."""
    if plan.kind == "static" or toolchain is None or recipe_of(plan.language).runs_alone:
        return ()
    return toolchain_mounts(toolchain)


def install_script(plan: Plan, toolchain: Toolchain, *, custom: bool) -> str:
    before = recipe_of(plan.language).before(toolchain, custom and _calls_pip(plan.install_command or ""))
    return "\n".join(line for line in (before, plan.install_command) if line)


def _calls_pip(command: str) -> bool:
    return re.search(r"(?<!uv )\bpip3?\b", command) is not None


@dataclass(frozen=True, kw_only=True)
class Corner:
    """What all steps of one build share."""

    request: BuildRequest
    plan: Plan
    toolchain: Toolchain | None
    tools: tuple[Toolchain, ...] = ()
    uv: Path
    limits: BuildLimits
    cache: Path
    """The environment's own, kept over builds."""
    runs: Path
    """Holds a folder for each step."""
    deadline: float
    """By time.monotonic(), for all steps together."""
    build_env: Mapping[str, str]
    """The operator's: indexes, proxies, certificates."""
    build_files: Sequence[tuple[Path, str]] = ()
    """The operator's too, each with its path in builds."""

    @property
    def toolchains(self) -> tuple[Toolchain, ...]:
        return (*([self.toolchain] if self.toolchain else []), *self.tools)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """That of the language wins over those of its tools."""
        return (*(recipe_of(tool.language) for tool in self.tools), recipe_of(self.plan.language))

    @property
    def caches(self) -> tuple[str, ...]:
        """What of an environment's cache builds see, each folder mounted by itself: they must not own the one that
        holds them, where they could put links in place of them, to be followed by the platform."""
        return (HOME, *dict.fromkeys(name for recipe in self.recipes for name in recipe.caches))

    @property
    def installing(self) -> Installing:
        return Installing(
            command=self.plan.install_command or "",
            app=FolderFiles(self.request.tree / install_root(self.plan)),
            home=FolderFiles(self.cache / HOME),
            env={*self.plan.env, *self.request.env},
            operator=self.build_env,
        )

    def step(
        self,
        name: str,
        script: str,
        *,
        work: Path,
        work_at: str,
        dependencies: Path | None = None,
        made: Path | None = None,
        lent: Path | None = None,
        at: str | None = None,
    ) -> SandboxSpec:
        """Run `script` in the app's folder, or `at` another. `work` is mounted at `work_at`, the only place that lasts
        besides the cache; of `dependencies` all that the release will have, and `made`, read-only. What is `lent` is
        copied into the cache before, by the build's own user."""
        mounts = [Mount(source=work, target=work_at, writable=True)]
        mounts += [Mount(source=self.cache / name, target=f"{CACHE}/{name}", writable=True) for name in self.caches]
        mounts += [Mount(source=source, target=target) for source, target in toolchain_mounts(*self.toolchains)]
        mounts.append(Mount(source=self.uv, target=f"{TOOLS}/uv"))
        mounts += [Mount(source=source, target=target) for source, target in self.build_files]
        if made is not None:
            mounts.append(Mount(source=made, target=MADE))
        if lent is not None:
            mounts.append(Mount(source=lent, target=LENT))
            script = f"cp -R {LENT}/. {CACHE}\n{script}"
        if dependencies is not None:
            targets = dict(dependency_mounts(self.plan, dependencies))
            mounts += [Mount(source=source, target=target) for source, target in targets.items()]
            inside = recipe_of(self.plan.language).dependencies
            own = {f"{folder}/{inside}" for folder in (app_root(self.plan), install_home(self.plan))}
            mounts += [
                Mount(source=self.cache / "tools" / folder, target=f"{target}/{folder}", writable=True)
                for target in targets.values()
                if target in own
                for folder in mount_points(self.plan)
            ]
        return SandboxSpec(
            name=f"{self.request.id}.{name}",
            folder=self.runs / name,
            argv=("/bin/sh", "-ec", script),
            env=self.env(),
            cwd=at or app_root(self.plan),
            uid=self.request.uid,
            limits=Limits(
                cpu=self.limits.cpu,
                memory_mb=self.limits.memory_mb,
                pids=self.limits.pids,
                disk_mb=self.limits.disk_mb,
                seconds=max(self.deadline - time.monotonic(), 0.1),
                output_bytes=self.limits.output_bytes,
                background=True,
            ),
            mounts=tuple(mounts),
            network="host",
            stdout=self.request.log,
            stderr=self.request.log,
        )

    def env(self) -> dict[str, str]:
        env = release_env(self.plan, self.toolchain)
        env["PATH"] = f"{search_path(self.plan, *self.toolchains)}:{TOOLS}"
        env |= {
            "HOME": f"{CACHE}/{HOME}",
            "CI": "1",
            "NO_COLOR": "1",
            "CYGNI": "1",
            "CYGNI_PROJECT_ID": self.request.project_id,
        }
        heap_mb = self.limits.memory_mb * 3 // 4
        for tool in self.tools:
            env |= _filled(recipe_of(tool.language).build_env, self.plan, tool, heap_mb)
        env |= _filled(recipe_of(self.plan.language).build_env, self.plan, self.toolchain, heap_mb)
        return {**env, **self.build_env, **self.plan.env, **self.request.env}


def prepare_folders(corner: Corner) -> list[Path]:
    """Folders of the cache that must exist and belong to the build's user; those that hold them must not."""
    tools = [corner.cache / "tools" / folder for folder in mount_points(corner.plan)]
    return [corner.cache / name for name in corner.caches] + tools


def mount_points(plan: Plan) -> tuple[str, ...]:
    """Empty folders inside of a shared installation that a build's own caches lie over."""
    return recipe_of(plan.language).scratch
