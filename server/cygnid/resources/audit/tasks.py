"""The sealer."""

from cygnid.backends import Backends
from cygnid.core import changes, sealer
from cygnid.core.changes import Wake
from cygnid.core.db import begin
from cygnid.core.reconcile import reconcile


@reconcile(on=[Wake.SEALER], minutes=1)
async def seal_changes(backends: Backends) -> None:
    """Number and chain what happened, and wake those who wait for it."""
    if await sealer.seal(backends.pool):
        async with begin(backends.pool) as tx:
            await changes.wake(tx, Wake.SEALED)
