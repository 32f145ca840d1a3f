"""What follows by itself from the time."""

from cygnid.backends import Backends
from cygnid.core.db import begin
from cygnid.core.reconcile import reconcile
from cygnid.resources.permissions import grants


@reconcile(on=[], minutes=10)
async def remove_expired_grants(backends: Backends) -> None:
    """An expired grant counts no more at once, wherever a permission is asked for; this tells that it ended."""
    async with begin(backends.pool) as tx:
        await grants.remove_expired(tx)
