"""A builder without processes: it detects like the real one and copies the tree."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from cygnid.build.base import Artifact, BuildFailed, BuildRequest, Inventory
from cygnid.build.detect import FolderFiles, detect
from cygnid.build.seal import refuse_secrets, seal


class FakeBuilder:
    def __init__(self, data: Path, *, available: Mapping[str, Sequence[str]] | None = None) -> None:
        self._data = data
        self._available = {"python": ["3.12.1"], "node": ["22.1.0"]} if available is None else available
        self.fail: BuildFailed | None = None
        """Raised by the next build."""
        self.hold: asyncio.Event | None = None
        """A build waits for it before it publishes."""
        self.started = asyncio.Event()
        self.builds: set[str] = set()
        """Those that run, and what a test says was left behind."""
        self.killed: list[str] = []
        self.removed_environments: list[tuple[str, str]] = []

    async def build(self, request: BuildRequest) -> Artifact:
        self.builds.add(request.id)
        try:
            return await self._build(request)
        finally:
            self.builds.discard(request.id)

    async def inventory(self) -> Inventory:
        found = (self._data / "artifacts").glob("*/*")
        artifacts = frozenset((path.parent.name, f"sha256:{path.name}") for path in found)
        return Inventory(builds=frozenset(self.builds), artifacts=artifacts)

    async def _build(self, request: BuildRequest) -> Artifact:
        if self.fail is not None:
            failure, self.fail = self.fail, None
            raise failure
        plan = detect(
            FolderFiles(request.tree), request.settings, framework=request.framework, available=self._available
        )
        with request.log.open("a") as log:
            log.writelines(f"--> {line}\n" for line in plan.reasons)
        inputs = (
            request.environment_id,
            request.tree_digest,
            request.settings,
            request.env_digest,
            request.nonce,
            plan.toolchain,
        )
        digest = hashlib.sha256(repr(inputs).encode()).hexdigest()
        path = self._data / "artifacts" / request.project_id / digest / "release"
        reused = path.exists()
        if not reused:
            self.started.set()
            if self.hold is not None:
                await self.hold.wait()
            refuse_secrets(request.tree, request.secrets)
            shutil.copytree(request.tree, path, symlinks=True)
            seal(path)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return Artifact(digest=f"sha256:{digest}", kind=plan.kind, path=path, size_bytes=size, reused=reused, plan=plan)

    async def kill(self, build_id: str) -> None:
        self.killed.append(build_id)
        self.builds.discard(build_id)

    async def remove(self, project_id: str, digest: str) -> None:
        _remove(self._data / "artifacts" / project_id / digest.removeprefix("sha256:"))

    async def remove_environment(self, project_id: str, environment_id: str) -> None:
        self.removed_environments.append((project_id, environment_id))

    async def remove_project(self, project_id: str) -> None:
        _remove(self._data / "artifacts" / project_id)

    async def languages(self) -> Sequence[tuple[str, Sequence[str]]]:
        return list(self._available.items())


def _remove(path: Path) -> None:
    for folder, _, _ in os.walk(path):
        Path(folder).chmod(0o755)
    shutil.rmtree(path, ignore_errors=True)
