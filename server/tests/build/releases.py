"""Runs what was built as a runtime would."""

import os
import tempfile
from pathlib import Path

from cygnid.build.base import Artifact
from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.spec import Limits, Mount, SandboxSpec
from tests.build.harness import BWRAP, UID, Workshop


async def run_release(shop: Workshop, artifact: Artifact, script: str) -> str:
    """The output of a script run in the release as a runtime would."""
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=shop.folder))
    folder.chmod(0o711)
    sandbox = Sandbox(name=f"run{shop.folder.name.replace('_', '-')}", folder=folder, bwrap=BWRAP)
    try:
        await sandbox.prepare()
        step = folder / "step"
        step.mkdir(mode=0o711)
        finished = await sandbox.run(
            SandboxSpec(
                name="step",
                folder=step,
                argv=("/bin/sh", "-c", script),
                env={**artifact.env, **artifact.plan.env, "PORT": "8000"},
                cwd="/app",
                uid=UID + 1 if os.getuid() == 0 else None,
                limits=Limits(cpu=1, memory_mb=512, seconds=60),
                overlay=(artifact.path, "/app"),
                mounts=tuple(Mount(source=source, target=target) for source, target in artifact.mounts),
                stdout=folder / "out",
                stderr=folder / "out",
            )
        )
    finally:
        await sandbox.close()
        await sandbox.remove()
    output = (folder / "out").read_text()
    assert finished.ended.code == 0, output
    return output
