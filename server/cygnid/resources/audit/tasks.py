"""The sealer, and who signs what it made."""

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
