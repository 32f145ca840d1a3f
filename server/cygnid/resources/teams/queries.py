"""The table `teams`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import msgspec

from cygnid.core.db import Read
from cygnid.core.filters import by_time, searched
from cygnid.core.paging import Condition, Listing, fetch, where
from cygnid.core.plans import PlanName
from cygnid.core.schemas import Page, alike
from cygnid.resources.teams.schemas import Team, TeamsQuery

_COLUMNS = """id, name, slug, plan, allowed_email_domains, max_token_age_days, allowed_ips, version, created_at,
    updated_at, created_by, deleted_at, purge_at"""
_TEAMS = Listing(
    select=f"""SELECT {_COLUMNS}, (SELECT count(*) FROM members WHERE members.team_id = teams.id) AS member_count
               FROM teams""",  # noqa: S608  constant
    sorts={"name": "name", "createdAt": "created_at", "updatedAt": "updated_at"},
)


class TeamRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    slug: str
    plan: PlanName
    allowed_email_domains: list[str]
    max_token_age_days: int | None
    allowed_ips: list[str]
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str
    deleted_at: datetime | None
    purge_at: datetime | None


class TeamView(TeamRow, frozen=True, kw_only=True):
    member_count: int


async def team(read: Read, team_id: str) -> TeamRow | None:
    """Also a deleted one that is not purged yet."""
    return await read.one(TeamRow, f"SELECT {_COLUMNS} FROM teams WHERE id = $1", team_id)  # noqa: S608  constant


async def team_for_change(read: Read, team_id: str) -> TeamRow | None:
    """Locked until the transaction ends; rows that refer to it may still be added."""
    return await read.one(
        TeamRow,
        f"SELECT {_COLUMNS} FROM teams WHERE id = $1 FOR NO KEY UPDATE",  # noqa: S608  constant
        team_id,
    )


async def view(read: Read, team_id: str) -> TeamView:
    found = await read.one(TeamView, f"{_TEAMS.select} WHERE id = $1", team_id)
    assert found is not None, team_id
    return found


async def listed_teams(read: Read, team_ids: Sequence[str], query: TeamsQuery) -> Page[Team]:
    conditions = [
        where("id = ANY($1) AND deleted_at IS NULL", team_ids),
        *searched(query.search, "name"),
        *by_time(query),
    ]
    page = await fetch(read, TeamView, _TEAMS, query, conditions)
    return Page(items=[shown(row) for row in page.items], pagination=page.pagination)


def shown(row: TeamView) -> Team:
    return Team(**alike(row, Team))


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
