"""The tables `roles` and `members`."""

from datetime import datetime

import msgspec

from cygnid.core.db import Read
from cygnid.resources.teams.schemas import TeamRef


class RoleRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str | None
    name: str
    scopes: list[str]


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    user_id: str
    role_id: str
    role_name: str
    created_at: datetime


class _Membership(msgspec.Struct, frozen=True):
    id: str
    name: str
    slug: str
    role_id: str
    role_name: str


async def roles(read: Read, team_id: str) -> list[RoleRow]:
    """The built-in ones and the team's own."""
    return await read.all(
        RoleRow,
        "SELECT id, team_id, name, scopes FROM roles WHERE team_id IS NULL OR team_id = $1 ORDER BY id",
        team_id,
    )


async def members(read: Read, team_id: str) -> list[MemberRow]:
    return await read.all(
        MemberRow,
        """SELECT members.id, members.team_id, members.user_id, members.role_id, roles.name AS role_name,
               members.created_at
           FROM members JOIN roles ON roles.id = members.role_id
           WHERE members.team_id = $1 ORDER BY members.id""",
        team_id,
    )


async def teams_of(read: Read, user_id: str) -> list[TeamRef]:
    """The living teams of a user, with the role in each."""
    rows = await read.all(
        _Membership,
        """SELECT teams.id, teams.name, teams.slug, roles.id AS role_id, roles.name AS role_name
           FROM members
           JOIN roles ON roles.id = members.role_id
           JOIN teams ON teams.id = members.team_id AND teams.deleted_at IS NULL
           WHERE members.user_id = $1 ORDER BY teams.id""",
        user_id,
    )
    return [
        TeamRef(id=row.id, name=row.name, slug=row.slug, role_id=row.role_id, role_name=row.role_name) for row in rows
    ]
