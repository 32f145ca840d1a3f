"""What follows by itself from the time."""

from datetime import timedelta

from cygnid.backends import Backends
from cygnid.core import clock
from cygnid.core.db import begin, read
from cygnid.core.reconcile import reconcile
from cygnid.resources.permissions import grants, teams

_JUST_RESTORED = timedelta(minutes=1)
"""A restore that began in time has been committed by then: no transaction is idle for so long."""


@reconcile(on=[], minutes=10)
async def remove_expired_grants(backends: Backends) -> None:
    """An expired grant counts no more at once, wherever a permission is asked for; this tells that it ended."""
    async with begin(backends.pool) as tx:
        await grants.remove_expired(tx)


@reconcile(on=[], minutes=60)
async def purge_deleted_teams(backends: Backends) -> None:
    """After their projects, which have files."""
    async with read(backends.pool) as reader:
        found = await teams.purgeable(reader, clock.now() - _JUST_RESTORED)
    for team_id in found:
        async with begin(backends.pool) as tx:
            await teams.purge(tx, team_id)
