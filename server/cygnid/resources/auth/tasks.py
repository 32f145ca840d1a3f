"""What of signing in has ended is dropped."""

from datetime import timedelta

from cygnid.backends import Backends
from cygnid.core import clock
from cygnid.core.db import begin
from cygnid.core.reconcile import reconcile
from cygnid.resources.auth import devices, identities, one_time, throttle

_SESSIONS_KEPT = timedelta(days=30)


@reconcile(on=[], minutes=60)
async def forget_ended_sign_ins(backends: Backends) -> None:
    """Counts of attempts, codes and links; sessions a month after their end, of which the audit log says all."""
    async with begin(backends.pool) as tx:
        await throttle.forget(tx)
        await one_time.forget(tx)
        await devices.forget(tx)
        await identities.forget(tx)
        await tx.execute(
            "DELETE FROM tokens WHERE kind = 'session' AND least(expires_at, revoked_at) <= $1",
            clock.now() - _SESSIONS_KEPT,
        )
