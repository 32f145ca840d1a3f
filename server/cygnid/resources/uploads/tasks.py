"""What happens to uploads that nobody used in time."""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from cygnid.backends import Backends
from cygnid.core.db import begin, read
from cygnid.core.reconcile import reconcile
from cygnid.resources.uploads import actions, queries
from cygnid.resources.uploads.file import in_thread

_KNOWN_AFTERWARDS = timedelta(days=7)
"""How long one that has expired still says so."""


@reconcile(on=[], minutes=10)
async def expire_uploads(backends: Backends) -> None:
    """Expire those whose time is over and remove every file that no living upload has: first the rows, so that a
    crash between leaves files that are found again, and never a row whose bytes are gone."""
    async with begin(backends.pool) as tx:
        await actions.expire(tx)
        await actions.forget_expired(tx, since=_KNOWN_AFTERWARDS)
    # listed before the rows are looked at: a row is always older than its file
    folder = backends.settings.uploads_folder
    names = await in_thread(_names, folder)
    async with read(backends.pool) as reader:
        kept = await queries.kept(reader, names)
    await in_thread(_remove, folder, set(names) - kept)


def _names(folder: Path) -> list[str]:
    return [file.name for file in folder.glob("upl_*")]


def _remove(folder: Path, names: Collection[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
