"""Builds as sandboxed processes of this machine, with the machine's own languages."""

import asyncio
import errno
import os
import posixpath
import shlex
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cygnid.build.base import Artifact, BuildFailed, BuildRequest, Inventory, Plan
from cygnid.build.caches import Caches
from cygnid.build.copies import Unusable
from cygnid.build.detect import FolderFiles, detect
from cygnid.build.detect.languages import recipe_of
from cygnid.build.downloads import Downloads
from cygnid.build.finish import DEPENDENCIES, finish, finish_shared
from cygnid.build.layout import Kept, Layout, remove
from cygnid.build.process_spec import (
    APP,
    BuildLimits,
    Corner,
    app_root,
    artifact_id,
    dependencies_id,
    dependency_folders,
    dependency_mounts,
    install_home,
    install_root,
    install_script,
    installed_folders,
    installs,
    prepare_folders,
    release_env,
    release_mounts,
    shares,
)
from cygnid.build.seal import copy_tree
from cygnid.build.shelf import Shelf
from cygnid.build.threads import go_on, in_thread, in_thread_alone
from cygnid.build.toolchains import Toolchain
from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.launched import Finished

_BYTECODE = Path(__file__).with_name("bytecode.py")


class ProcessBuilder:
    """`data` is the platform's folder, which other users can pass through. `languages` are those of this
    machine. `build_env` are the operator's variables for every build, such as
    UV_INDEX_URL, npm_config_registry, HTTPS_PROXY, SSL_CERT_FILE: nothing else of our environment reaches one.
    `build_files` are the operator's files for every build, each with its path there. `download_cache_bytes` is what
    downloads that all projects share may take, `build_cache_bytes` what the caches of all environments may."""

    def __init__(
        self,
        *,
        data: Path,
        sandbox: Sandbox,
        languages: Shelf,
        uv: Path,
        limits: BuildLimits | None = None,
        build_env: Mapping[str, str] | None = None,
        build_files: Sequence[tuple[Path, str]] = (),
        download_cache_bytes: int = 4 << 30,
        build_cache_bytes: int = 16 << 30,
    ) -> None:
        self._layout = Layout(data)
        self._downloads = Downloads(self._layout.downloads, max_bytes=download_cache_bytes)
        self._caches = Caches(
            self._layout.all_caches,
            max_bytes=build_cache_bytes,
            max_bytes_each=(limits or BuildLimits()).disk_mb * 1_000_000 // 2,
        )
        self._sandbox = sandbox
        self._languages = languages
        self._uv = uv
        self._limits = limits or BuildLimits()
        self._build_env = dict(build_env or {})
        self._build_files = tuple(build_files)
        self._platform = sysconfig.get_platform()

    async def build(self, request: BuildRequest) -> Artifact:
        try:
            return await self._build(request)
        except BuildFailed as error:
            _say(request, f"failed: {error.message}", error.hint)
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise BuildFailed(
                    "disk_full", "The machine's disk is full.", hint="Remove what is not needed, or ask the operator."
                ) from error
            raise
        finally:
            await asyncio.shield(self.kill(request.id))

    async def kill(self, build_id: str) -> None:
        runs = self._layout.runs(build_id)
        for folder in sorted(runs.iterdir()) if runs.exists() else []:
            await self._sandbox.kill(f"{build_id}.{folder.name}", folder)
        await remove(runs, *self._layout.works(build_id))

    async def inventory(self) -> Inventory:
        builds, artifacts = await in_thread(lambda: (self._layout.builds(), self._layout.artifacts()))
        named = ((project_id, f"sha256:{name}") for project_id, name in artifacts)
        return Inventory(builds=frozenset(builds), artifacts=frozenset(named))

    async def remove(self, project_id: str, digest: str) -> None:
        await remove(self._layout.artifact(project_id, digest.removeprefix("sha256:")))
        idle = self._limits.seconds * 2
        await remove(*self._layout.unused_dependencies(project_id, idle_seconds=idle))

    async def remove_environment(self, project_id: str, environment_id: str) -> None:
        await remove(self._layout.cache(project_id, environment_id))

    async def remove_project(self, project_id: str) -> None:
        layout = self._layout
        await remove(layout.artifact(project_id, ""), layout.dependencies(project_id, ""), layout.caches(project_id))

    async def languages(self) -> Sequence[tuple[str, Sequence[str]]]:
        found = await in_thread(lambda: list(self._languages.items()))
        return [(language, versions) for language, versions in found if versions]

    def _decide(self, request: BuildRequest) -> tuple[Plan, Toolchain | None, tuple[Toolchain, ...]]:
        """The plan, and the toolchains that it names. One that cannot be copied is not offered again: the plan is made
        anew without it, until there is none left."""

        def say(*lines: str) -> None:
            go_on()
            _say(request, *lines)

        while True:
            plan = detect(
                FolderFiles(request.tree), request.settings, framework=request.framework, available=self._languages
            )
            try:
                chains = [self._languages.take(name, say) for name in _toolchains(plan)]
            except Unusable as reason:
                say(f"note: {reason}")
                continue
            say(*plan.reasons)
            return plan, chains[0] if plan.toolchain else None, tuple(chains[1:] if plan.toolchain else chains)

    async def _build(self, request: BuildRequest) -> Artifact:
        self._layout.prepare()
        plan, toolchain, tools = await in_thread_alone(self._decide, request)
        corner = Corner(
            request=request,
            plan=plan,
            toolchain=toolchain,
            tools=tools,
            uv=self._uv,
            limits=self._limits,
            cache=self._layout.cache(request.project_id, request.environment_id),
            runs=self._layout.runs(request.id),
            deadline=time.monotonic() + self._limits.seconds,
            build_env=self._build_env,
            build_files=self._build_files,
        )
        # an installation names its interpreter by an absolute path
        machine = self._platform if toolchain is None else f"{self._platform} {toolchain.root}"
        digest = artifact_id(plan, request, machine)
        shared = dependencies_id(plan, request, machine) if shares(plan) else None
        kept = self._layout.kept(request.project_id, digest)
        reused = kept is not None and (
            kept.dependencies is None
            or plan.kind == "static"
            or self._layout.use_dependencies(request.project_id, kept.dependencies) is not None
        )
        if kept is None or not reused:
            if kept is not None:
                await remove(self._layout.artifact(request.project_id, digest))
            kept = await self._make(corner, digest, shared)
        else:
            _say(request, "nothing changed: the release that was built of the same source and settings is used again")
        mounts = release_mounts(plan, toolchain)
        if plan.kind == "release" and kept.dependencies is not None:
            installed = self._layout.dependencies(request.project_id, kept.dependencies)
            mounts = (*mounts, *dependency_mounts(plan, installed))
        return Artifact(
            digest=f"sha256:{digest}",
            kind=plan.kind,
            path=self._layout.artifact(request.project_id, digest) / "release",
            size_bytes=kept.size_bytes,
            reused=reused,
            plan=replace(plan, fallback=kept.fallback),
            mounts=mounts,
            env=release_env(plan, toolchain) if plan.kind == "release" else {},
        )

    async def _make(self, corner: Corner, digest: str, shared: str | None) -> Kept:
        async with self._caches.held(corner.cache, clear=corner.request.clear_cache) as emptied:
            if emptied:
                _say(corner.request, emptied)
            for folder in prepare_folders(corner):
                _own_folder(folder, corner.request.uid)
            return await self._made(corner, digest, shared)

    async def _made(self, corner: Corner, digest: str, shared: str | None) -> Kept:
        request, plan = corner.request, corner.plan
        dependencies = await self._install_shared(corner, shared) if shared else None
        final = self._layout.artifact(request.project_id, digest)
        work = self._layout.work(final, request.id)
        release = work / "release"
        await in_thread(copy_tree, request.tree, release, uid=request.uid, leave_out=_left_out(plan))
        if dependencies is not None:
            for folder in installed_folders(plan, dependencies):
                _own_folder(release / install_root(plan) / folder, request.uid)
        elif corner.toolchain and installs(plan):
            script = install_script(plan, corner.toolchain, custom=plan.install_key is None)
            await self._install(corner, script, work=release, work_at=APP)
        if plan.build_command:
            await self._run(corner, "build", plan.build_command, work=release, work_at=APP, dependencies=dependencies)
        if plan.kind == "release" and plan.language == "python":
            await self._compile(corner, release, dependencies)
        size, fallback = await in_thread(finish, plan, request, work, self._layout.clock)
        await remove(work / "built", work / "not-served")
        kept = Kept(size_bytes=size, dependencies=shared, fallback=fallback)
        self._layout.keep(work, kept)
        if not self._layout.publish(work, final):
            await remove(work)
        _say(request, f"release: {size / 1e6:.1f} MB" if size >= 100_000 else f"release: {size / 1e3:.1f} kB")
        return kept

    async def _install_shared(self, corner: Corner, digest: str) -> Path:
        """The installation that every release with the same dependencies uses."""
        request, plan = corner.request, corner.plan
        found = self._layout.use_dependencies(request.project_id, digest)
        if found is not None:
            _say(request, "dependencies: unchanged, nothing to install")
            return found
        assert corner.toolchain is not None
        final = self._layout.dependencies(request.project_id, digest)
        work = self._layout.work(final, request.id)
        _own_folder(work, request.uid)
        for file in plan.install_files:
            _copy_input(request.tree / install_root(plan), file, work, request.uid)
        script = install_script(plan, corner.toolchain, custom=False)
        await self._install(corner, script, work=work, work_at=install_home(plan))
        await in_thread(finish_shared, plan, request, work)
        if not self._layout.publish(work, final):
            await remove(work)
        return final

    async def _install(self, corner: Corner, script: str, *, work: Path, work_at: str) -> None:
        wanted = recipe_of(corner.plan.language).downloads(corner.installing)
        lent = corner.runs / "lent"
        if not corner.request.clear_cache:
            count = await in_thread(self._downloads.lend, wanted, corner.cache, lent)
            if count:
                _say(corner.request, f"dependencies: {count} of {len(wanted)} are in the shared cache")
        await self._run(
            corner,
            "install",
            script,
            work=work,
            work_at=work_at,
            made=_make_files(corner),
            lent=lent if lent.exists() else None,
            at=install_home(corner.plan),
        )
        await in_thread(self._downloads.take_in, wanted, corner.cache)

    async def _compile(self, corner: Corner, release: Path, dependencies: Path | None) -> None:
        """Compile the app's modules, so that its processes do not at each start. Files that are no Python of this
        version stay as they are."""
        words = (_BYTECODE.read_text(), app_root(corner.plan), *DEPENDENCIES)
        script = f"python -I -S -W ignore -c {' '.join(map(shlex.quote, words))} || true"
        await self._run(corner, "compile", script, work=release, work_at=APP, dependencies=dependencies, quiet=True)

    async def _run(
        self,
        corner: Corner,
        name: str,
        script: str,
        *,
        work: Path,
        work_at: str,
        dependencies: Path | None = None,
        made: Path | None = None,
        lent: Path | None = None,
        at: str | None = None,
        quiet: bool = False,
    ) -> None:
        command = name if quiet else script.splitlines()[-1]
        if not quiet:
            _say(corner.request, f"{name}: {command}")
        folder = corner.runs / name
        folder.mkdir(mode=0o711, parents=True)
        corner.runs.chmod(0o711)
        started = time.monotonic()
        spec = corner.step(
            name, script, work=work, work_at=work_at, dependencies=dependencies, made=made, lent=lent, at=at
        )
        finished = await self._sandbox.run(spec)
        self._judge(command, finished)
        if not quiet:
            _say(corner.request, f"{name}: done in {time.monotonic() - started:.1f} s")

    def _judge(self, command: str, finished: Finished) -> None:
        """Raises BuildFailed unless the command ended well."""
        ended = finished.ended
        if finished.timed_out:
            raise BuildFailed(
                "build_timeout",
                f"The build took longer than the {self._limits.seconds:g} s it may; `{command}` was still running.",
                hint="See in the log what it was waiting for; an endless command belongs into a process.",
            )
        if finished.disk_exceeded:
            raise BuildFailed(
                "disk_full",
                f"`{command}` wrote more than the {self._limits.disk_mb} MB a build may.",
                hint="Clear the build cache, or write less.",
            )
        if ended.out_of_memory:
            raise BuildFailed(
                "build_oom",
                f"`{command}` needed more than the {self._limits.memory_mb} MB of memory a build may use.",
                hint="Build with fewer parallel jobs, or ask the operator to raise the limit.",
            )
        if ended.code != 0:
            how = f"ended with exit code {ended.code}" if ended.code is not None else f"was ended by {ended.signal}"
            raise BuildFailed("build_error", f"`{command}` {how}.", hint="The lines above it in the log say why.")


def _toolchains(plan: Plan) -> tuple[str, ...]:
    return tuple(name for name in (plan.toolchain, *plan.tools) if name)


def _left_out(plan: Plan) -> frozenset[str]:
    """What of the source is not copied: an installation made on another machine."""
    return frozenset((install_root(plan) / folder).as_posix() for folder in dependency_folders(plan))


def _own_folder(folder: Path, uid: int | None) -> None:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if uid is not None:
        os.chown(folder, uid, uid, follow_symlinks=False)


def _copy_input(root: Path, name: str, work: Path, uid: int | None) -> None:
    source = root / name
    target = work / posixpath.normpath(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    if uid is not None:
        for path in (target, *target.relative_to(work).parents):
            os.chown(work / path, uid, uid)


def _make_files(corner: Corner) -> Path | None:
    """The folder with what detection made for the installation, out of the build's reach; it goes with the build."""
    if not corner.plan.install_made:
        return None
    folder = corner.runs / "made"
    folder.mkdir(mode=0o755, parents=True)
    for name, text in corner.plan.install_made.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o644)
    return folder


def _say(request: BuildRequest, *lines: str) -> None:
    """Our own lines in the build's log begin with an arrow."""
    with request.log.open("a", encoding="utf-8") as log:
        log.writelines(f"--> {line}\n" for line in lines)
