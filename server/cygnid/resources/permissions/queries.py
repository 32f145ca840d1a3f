"""The tables `roles`, `grants` and `members`."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cygnid.core.db import Read
from cygnid.core.filters import by_time
from cygnid.core.paging import Condition, Listing, fetch, where
from cygnid.core.schemas import Page, alike
from cygnid.resources.permissions.schemas import Grant, GrantsQuery, Role, RolesQuery
from cygnid.resources.teams.queries import Parts, in_parts
from cygnid.resources.teams.schemas import TeamRef

_ROLE = "SELECT id, team_id, name, description, scopes, version, created_at, updated_at, created_by FROM roles"
_ROLES = Listing(
    select=_ROLE, sorts={"name": "name", "createdAt": "created_at", "updatedAt": "updated_at"}, default="createdAt"
)
_GRANT = """SELECT g.id, g.team_id, g.user_id, g.token_id, g.role_id, r.name AS role_name, r.scopes, g.project_id,
    g.environment, g.expires_at, g.created_at, g.created_by FROM grants g JOIN roles r ON r.id = g.role_id"""
_GRANTS = Listing(select=_GRANT, sorts={"createdAt": "created_at"})


class RoleRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str | None
    name: str
    description: str | None
    scopes: list[str]
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str


class GrantRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    user_id: str | None
    token_id: str | None
    role_id: str
    role_name: str
    scopes: list[str]
    """Of the role."""
    project_id: str
    environment: str | None
    expires_at: datetime | None
    created_at: datetime
    created_by: str


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    user_id: str
    role_id: str | None
    role_name: str | None
    created_at: datetime


class _Membership(msgspec.Struct, frozen=True):
    id: str
    name: str
    slug: str
    role_id: str | None
    role_name: str | None


async def roles(read: Read, team_id: str) -> list[RoleRow]:
    """The built-in ones and the team's own."""
    return await read.all(RoleRow, f"{_ROLE} WHERE team_id IS NULL OR team_id = $1 ORDER BY id", team_id)


async def role(read: Read, role_id: str) -> RoleRow | None:
    return await read.one(RoleRow, f"{_ROLE} WHERE id = $1", role_id)


async def role_for_change(read: Read, role_id: str) -> RoleRow | None:
    """Locked until the transaction ends."""
    return await read.one(RoleRow, f"{_ROLE} WHERE id = $1 FOR UPDATE", role_id)


async def role_of_team(read: Read, team_id: str, reference: str) -> RoleRow | None:
    """A built-in one or the team's own, by id or name. Locked against its deletion until the transaction ends."""
    return await read.one(
        RoleRow,
        f"{_ROLE} WHERE (id = $2 OR name = $2) AND (team_id IS NULL OR team_id = $1) FOR KEY SHARE",
        team_id,
        reference,
    )


async def listed_roles(read: Read, team_ids: Sequence[str], query: RolesQuery) -> Page[Role]:
    conditions = [where("team_id IS NULL OR team_id = ANY($1)", team_ids), *by_time(query)]
    page = await fetch(read, RoleRow, _ROLES, query, conditions)
    return Page(items=[shown_role(row) for row in page.items], pagination=page.pagination)


def shown_role(row: RoleRow) -> Role:
    return Role(**alike(row, Role), built_in=row.team_id is None)


async def grant(read: Read, grant_id: str, now: datetime) -> GrantRow | None:
    """None: also one that has expired."""
    return await read.one(
        GrantRow, f"{_GRANT} WHERE g.id = $1 AND (g.expires_at IS NULL OR g.expires_at > $2)", grant_id, now
    )


async def listed_grants(read: Read, parts: Parts, query: GrantsQuery, now: datetime) -> Page[Grant]:
    """Those in the parts that hold now; the filters of `query` narrow."""
    conditions: list[Condition] = [
        in_parts(parts, team="g.team_id = ANY($1)", project="g.project_id", environment="g.environment"),
        where("g.expires_at IS NULL OR g.expires_at > $1", now),
        *by_time(query, created="g.created_at"),
    ]
    if query.project_id is not None:
        conditions.append(
            where("g.project_id = (SELECT projects.id FROM projects WHERE id = $1 OR name = $1)", query.project_id)
        )
    if query.user_id is not None:
        conditions.append(where("g.user_id = $1", query.user_id))
    if query.token_id is not None:
        conditions.append(where("g.token_id = $1", query.token_id))
    if query.role_id is not None:
        conditions.append(where("g.role_id = $1", query.role_id))
    page = await fetch(read, GrantRow, _GRANTS, query, conditions)
    return Page(items=[shown_grant(row) for row in page.items], pagination=page.pagination)


def shown_grant(row: GrantRow) -> Grant:
    # nothing of a grant can be changed: another one is made
    return Grant(**alike(row, Grant), updated_at=row.created_at)


async def expired_grants(read: Read, now: datetime) -> list[GrantRow]:
    return await read.all(GrantRow, f"{_GRANT} WHERE g.expires_at <= $1 ORDER BY g.id FOR UPDATE OF g SKIP LOCKED", now)


async def is_member(read: Read, team_id: str, user_id: str) -> bool:
    """Locked against removal until the transaction ends."""
    found = await read.value(
        "SELECT id FROM members WHERE team_id = $1 AND user_id = $2 FOR KEY SHARE", team_id, user_id
    )
    return found is not None


async def is_granted_to(read: Read, *, token_id: str, team_id: str, project_id: str, environment: str | None) -> bool:
    """Whether a team's token can be granted something there: one bound to another project or environment cannot."""
    found = await read.value(
        """SELECT true FROM tokens WHERE id = $1 AND team_id = $2 AND revoked_at IS NULL
               AND (project_id IS NULL OR project_id = $3)
               AND (environment IS NULL OR environment = $4) FOR KEY SHARE""",
        token_id,
        team_id,
        project_id,
        environment,
    )
    return found is not None


async def members(read: Read, team_id: str) -> list[MemberRow]:
    return await read.all(
        MemberRow,
        """SELECT members.id, members.team_id, members.user_id, members.role_id, roles.name AS role_name,
               members.created_at
           FROM members LEFT JOIN roles ON roles.id = members.role_id
           WHERE members.team_id = $1 ORDER BY members.id""",
        team_id,
    )


async def teams_of(read: Read, user_id: str) -> list[TeamRef]:
    """The living teams of a user, with the role in each."""
    rows = await read.all(
        _Membership,
        """SELECT teams.id, teams.name, teams.slug, roles.id AS role_id, roles.name AS role_name
           FROM members
           LEFT JOIN roles ON roles.id = members.role_id
           JOIN teams ON teams.id = members.team_id AND teams.deleted_at IS NULL
           WHERE members.user_id = $1 ORDER BY teams.id""",
        user_id,
    )
    return [
        TeamRef(id=row.id, name=row.name, slug=row.slug, role_id=row.role_id, role_name=row.role_name) for row in rows
    ]
