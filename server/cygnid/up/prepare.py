"""What a database needs before the first process uses it: the schema, and somebody who owns the installation."""

from typing import TypedDict

from cygnid.core import db
from cygnid.core.postgres import migrate
from cygnid.resources.platform.actions import forget_workers
from cygnid.settings import Settings


class Prepared(TypedDict):
    applied: list[str]
    teamId: str | None
    token: str | None
    setupCode: str | None


async def prepare(settings: Settings, *, first_owner: bool) -> Prepared:
    """Raises MigrationRefused, MigrationFailed."""
    applied = await migrate(settings.database_url)
    if not first_owner:
        return Prepared(applied=applied, teamId=None, token=None, setupCode=None)
    from cygnid.up.first import ensure_first_owner

    pool = await db.connect(settings.database_url, size=1)
    try:
        owner = await ensure_first_owner(pool, settings.default_plan)
        async with db.begin(pool) as tx:
            await forget_workers(tx)
    finally:
        await pool.close()
    return Prepared(applied=applied, teamId=owner.team_id, token=owner.token, setupCode=owner.setup_code)
