"""Whether an instance on this machine could do its work: for the operator's doctor."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cygnid.sandbox.disk import remove_tree
from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.spec import Limits, SandboxSpec
from cygnid.sandbox.starter import LaunchFailed

_NOBODY = 65534
_NAME, _PORT = "pypi.org", 443
_SCRIPT = f"""
command -v getent >/dev/null || exit 0
timeout 10 getent ahostsv4 {_NAME} >/dev/null || exit 11
command -v bash >/dev/null || exit 0
timeout 10 bash -c 'exec 3<>/dev/tcp/{_NAME}/{_PORT}' || exit 12
"""
_WRONG = {
    11: f"an instance cannot resolve {_NAME}: no name server of /etc/resolv.conf is reachable from the applications' "
    "network",
    12: f"an instance cannot connect to {_NAME}:{_PORT}: a firewall of the machine may drop forwarded packets (Docker "
    "sets `iptables -P FORWARD DROP`; allow the applications' bridge in chain DOCKER-USER)",
}


async def check(sandbox: Sandbox, folder: Path) -> Sequence[str]:
    made = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=folder, prefix="check-"))
    made.chmod(0o711)
    spec = SandboxSpec(
        name=made.name,
        folder=made,
        argv=("/bin/sh", "-c", _SCRIPT),
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        uid=_NOBODY if os.geteuid() == 0 else None,
        limits=Limits(cpu=1, memory_mb=64, seconds=30),
        stdout=made / "output",
        stderr=made / "output",
    )
    try:
        ended = (await sandbox.run(spec)).ended
    except LaunchFailed as error:
        return [f"no instance can be made: {error}"]
    finally:
        await asyncio.to_thread(remove_tree, made)
    if ended.code == 0:
        return []
    return [_WRONG.get(ended.code or 0, f"an instance that only looks around ended with {ended.code or ended.signal}")]
