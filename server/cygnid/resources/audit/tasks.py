"""The sealer, who signs what it made, and who removes what is too old."""

from cygnid.backends import Backends
from cygnid.core import changes, sealer
from cygnid.core.changes import Wake
from cygnid.core.db import begin
from cygnid.core.reconcile import reconcile
from cygnid.resources.audit import actions


@reconcile(on=[Wake.SEALER], minutes=1)
async def seal_changes(backends: Backends) -> None:
    """Number and chain what happened, and wake those who wait for it."""
    if await sealer.seal(backends.pool):
        async with begin(backends.pool) as tx:
            await changes.wake(tx, Wake.SEALED)


@reconcile(on=[], minutes=5)
async def sign_heads(backends: Backends) -> None:
    """A checkpoint of each chain that has grown."""
    await actions.sign_heads(backends.pool, backends.secrets)


@reconcile(on=[], minutes=24 * 60)
async def prune_old(backends: Backends) -> None:
    """What is older than the setting says, if it says anything."""
    if days := backends.settings.audit_retention_days:
        await actions.prune(backends.pool, backends.secrets, days=days)
