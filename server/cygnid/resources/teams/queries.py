"""The table `teams`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import msgspec

from cygnid.core.db import Read
from cygnid.core.paging import Condition, where
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


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The teams, projects of other teams, and single environments of other projects, in which somebody may do
    something."""

    team_ids: list[str]
    project_ids: list[str]
    environments: list[tuple[str, str]]
    """(project, name)."""

    def are_within(self, others: "Parts") -> bool:
        return (
            set(self.team_ids) <= set(others.team_ids)
            and set(self.project_ids) <= set(others.project_ids)
            and set(self.environments) <= set(others.environments)
        )


def in_parts(
    parts: Parts, *, team: LiteralString, project: LiteralString, environment: LiteralString | None = None
) -> Condition:
    """That a row is in them. `team`: what its project's team must fulfil for `$1`, an array; `project`, `environment`:
    its columns; without the latter it is of the project as a whole, which each of its environments lets see."""
    if not parts.project_ids and not parts.environments:
        return where(team, parts.team_ids)
    projects, names = [one for one, _ in parts.environments], [name for _, name in parts.environments]
    if environment is None:
        return where(f"({team}) OR {project} = ANY($2)", parts.team_ids, [*parts.project_ids, *projects])
    return where(
        f"""({team}) OR {project} = ANY($2) OR ({project}, {environment}) IN (
                SELECT * FROM unnest($3::text[], $4::text[]))""",  # noqa: S608  columns
        parts.team_ids,
        parts.project_ids,
        projects,
        names,
    )
