"""The tailer, and what happens to lines and files in the course of days."""

import asyncio
import time
from pathlib import Path

from cygnid.backends import Backends
from cygnid.core.changes import Wake
from cygnid.core.db import Read, begin, read
from cygnid.core.reconcile import reconcile
from cygnid.resources.env import queries as env
from cygnid.resources.logs import queries
from cygnid.resources.logs.store import drop_days, make_days
from cygnid.resources.logs.tailer import Tailer

_ABANDONED_SECONDS = 3600


@reconcile(on=[Wake.LOGS], minutes=1)
async def tail(backends: Backends) -> None:
    """Store what is written, until cancelled; it listens for its wake-ups itself, since a file says nothing."""
    home = backends.settings.home
    for folder in ("instances", "deployments"):
        (home / "logs" / folder).mkdir(parents=True, exist_ok=True)

    async def secret_values(read: Read, project_id: str) -> frozenset[str]:
        return await env.secret_values(read, backends.secrets, project_id)

    await Tailer(
        backends.pool, backends.wakeups, access_log=home / "edge" / "access.log", secret_values=secret_values
    ).run()


@reconcile(on=[], minutes=60)
async def keep_days(backends: Backends) -> None:
    """Make the partitions of the days to come, drop those past retention, delete files that no stream names."""
    async with begin(backends.pool) as tx:
        await make_days(tx)
    async with begin(backends.pool) as tx:
        await drop_days(tx, keep=backends.settings.log_retention_days)
    # before the streams are read: one that is opened meanwhile has a new file
    files = await asyncio.to_thread(_abandoned, backends.settings.home / "logs")
    async with read(backends.pool) as reader:
        known = {stream.path for stream in await queries.streams(reader)}
    for path in files:
        if str(path) not in known:
            path.unlink(missing_ok=True)


def _abandoned(folder: Path) -> list[Path]:
    """Files below that nothing was written to for an hour."""
    before = time.time() - _ABANDONED_SECONDS
    found = [path for part in ("instances", "deployments") for path in (folder / part).absolute().glob("*")]
    return [path for path in found if path.lstat().st_mtime < before]
