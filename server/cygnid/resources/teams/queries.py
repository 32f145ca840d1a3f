"""The table `teams`."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cygnid.core.db import Read
from cygnid.core.plans import PlanName

_COLUMNS = "id, name, slug, plan, version, created_at, updated_at, created_by, deleted_at"


class TeamRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    slug: str
    plan: PlanName
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str
    deleted_at: datetime | None


async def team(read: Read, team_id: str) -> TeamRow | None:
    """Also a deleted one that is not purged yet."""
    return await read.one(TeamRow, f"SELECT {_COLUMNS} FROM teams WHERE id = $1", team_id)  # noqa: S608  constant


async def living(read: Read, team_ids: Sequence[str]) -> list[TeamRow]:
    """Those of the teams that are not deleted, oldest first."""
    return await read.all(
        TeamRow,
        f"SELECT {_COLUMNS} FROM teams WHERE id = ANY($1) AND deleted_at IS NULL ORDER BY id",  # noqa: S608  constant
        team_ids,
    )
