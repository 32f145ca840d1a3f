"""What the leader does on a timer for the platform itself."""

from cygnid.backends import Backends
from cygnid.core import idempotency
from cygnid.core.db import begin
from cygnid.core.reconcile import reconcile
from cygnid.resources.platform import actions

_EDGE_MINUTES = 3 / 60


@reconcile(on=[], minutes=_EDGE_MINUTES)
async def supervise_edge(backends: Backends) -> None:
    """Envoy and the file server run, and what was replaced ends."""
    await backends.edge.supervise(term=backends.term())


@reconcile(on=[], minutes=1)
async def sweep(backends: Backends) -> None:
    """Stored answers past their time, and workers that are gone."""
    async with begin(backends.pool) as tx:
        await idempotency.sweep(tx)
        await actions.forget_silent_workers(tx)
