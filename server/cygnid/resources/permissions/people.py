"""The tables `members` and `invitations`, as they are shown."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cygnid.core.db import Read
from cygnid.core.filters import by_time, searched
from cygnid.core.paging import Listing, fetch, where
from cygnid.core.schemas import Page, alike
from cygnid.resources.permissions.schemas import (
    Invitation,
    InvitationsQuery,
    InvitationStatus,
    Member,
    MembersQuery,
    ProjectRole,
)

_MEMBERS = Listing(
    select="""SELECT m.id, m.team_id, m.user_id, u.name, u.email, m.role_id, r.name AS role_name,
                  u.two_factor_enabled, m.version, m.created_at, m.updated_at, m.created_by,
                  (SELECT max(tokens.last_used_at) FROM tokens WHERE tokens.user_id = m.user_id) AS last_active_at
              FROM members m JOIN users u ON u.id = m.user_id LEFT JOIN roles r ON r.id = m.role_id""",
    sorts={"name": "name", "createdAt": "created_at", "updatedAt": "updated_at"},
    default="createdAt",
)
_INVITATIONS = Listing(
    select="""SELECT i.id, i.team_id, i.email, i.role_id, r.name AS role_name, i.project_ids, i.expires_at,
                  i.accepted_at, i.revoked_at, i.created_at, i.updated_at, i.created_by
              FROM invitations i JOIN roles r ON r.id = i.role_id""",
    sorts={"email": "email", "createdAt": "created_at", "updatedAt": "updated_at"},
)


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    user_id: str
    name: str
    email: str | None
    role_id: str | None
    role_name: str | None
    two_factor_enabled: bool
    last_active_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str


class _GrantedRole(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    grant_id: str
    project_id: str
    environment: str | None
    role_id: str
    role_name: str


class InvitationRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    email: str
    role_id: str
    role_name: str
    project_ids: list[str]
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    updated_at: datetime
    created_by: str

    def status(self, now: datetime) -> InvitationStatus:
        if self.accepted_at is not None:
            return "accepted"
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "pending"


async def member(read: Read, team_id: str, member_id: str) -> MemberView | None:
    return await read.one(MemberView, f"{_MEMBERS.select} WHERE m.team_id = $1 AND m.id = $2", team_id, member_id)


async def listed_members(read: Read, team_id: str, query: MembersQuery, now: datetime) -> Page[Member]:
    conditions = [
        where("m.team_id = $1", team_id),
        *searched(query.search, "concat_ws(' ', u.name, u.email)"),
        *by_time(query, created="m.created_at", updated="m.updated_at"),
    ]
    page = await fetch(read, MemberView, _MEMBERS, query, conditions)
    return Page(items=await shown_members(read, team_id, page.items, now), pagination=page.pagination)


async def shown_members(read: Read, team_id: str, rows: Sequence[MemberView], now: datetime) -> list[Member]:
    """The members on the wire, with what is granted to them now."""
    granted = await read.all(
        _GrantedRole,
        """SELECT g.user_id, g.id AS grant_id, g.project_id, g.environment, g.role_id, r.name AS role_name
           FROM grants g JOIN roles r ON r.id = g.role_id
           WHERE g.team_id = $1 AND g.user_id = ANY($2) AND (g.expires_at IS NULL OR g.expires_at > $3)
           ORDER BY g.id""",
        team_id,
        [row.user_id for row in rows],
        now,
    )
    return [
        Member(
            **alike(row, Member),
            project_roles=[ProjectRole(**alike(one, ProjectRole)) for one in granted if one.user_id == row.user_id],
        )
        for row in rows
    ]


async def owners(read: Read, team_id: str, owner_role_id: str) -> int:
    return await read.value("SELECT count(*) FROM members WHERE team_id = $1 AND role_id = $2", team_id, owner_role_id)


async def team_tokens_made_by(read: Read, team_id: str, user_id: str) -> list[str]:
    """The team's own tokens, still valid, that this user made: they are the team's and stay."""
    return await read.value(
        """SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM tokens
           WHERE team_id = $1 AND created_by = $2 AND revoked_at IS NULL""",
        team_id,
        user_id,
    )


async def member_of_email(read: Read, team_id: str, email: str) -> bool:
    return await read.value(
        """SELECT EXISTS (SELECT FROM members JOIN users ON users.id = members.user_id
               WHERE members.team_id = $1 AND lower(users.email) = lower($2))""",
        team_id,
        email,
    )


async def has_account(read: Read, email: str) -> bool:
    return await read.value("SELECT EXISTS (SELECT FROM users WHERE lower(email) = lower($1))", email)


async def invitation(read: Read, team_id: str, invitation_id: str) -> InvitationRow | None:
    return await read.one(
        InvitationRow, f"{_INVITATIONS.select} WHERE i.team_id = $1 AND i.id = $2", team_id, invitation_id
    )


async def invitation_of_secret(read: Read, secret_hash: bytes) -> InvitationRow | None:
    """Whatever its state; of a team that is not deleted."""
    return await read.one(
        InvitationRow,
        f"""{_INVITATIONS.select} JOIN teams ON teams.id = i.team_id AND teams.deleted_at IS NULL
            WHERE i.secret_hash = $1""",
        secret_hash,
    )


async def is_invited(read: Read, team_id: str, email: str, now: datetime) -> bool:
    return await read.value(
        """SELECT EXISTS (SELECT FROM invitations WHERE team_id = $1 AND lower(email) = lower($2)
               AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $3)""",
        team_id,
        email,
        now,
    )


async def pending_of(read: Read, team_id: str, created_by: str, now: datetime) -> list[InvitationRow]:
    """What somebody invited to and nobody has accepted yet."""
    return await read.all(
        InvitationRow,
        f"""{_INVITATIONS.select} WHERE i.team_id = $1 AND i.created_by = $2 AND i.accepted_at IS NULL
                AND i.revoked_at IS NULL AND i.expires_at > $3 ORDER BY i.id""",
        team_id,
        created_by,
        now,
    )


async def listed_invitations(read: Read, team_id: str, query: InvitationsQuery, now: datetime) -> Page[Invitation]:
    conditions = [
        where("i.team_id = $1", team_id),
        *by_time(query, created="i.created_at", updated="i.updated_at"),
    ]
    if query.status:
        conditions.append(
            where(
                """CASE WHEN i.accepted_at IS NOT NULL THEN 'accepted' WHEN i.revoked_at IS NOT NULL THEN 'revoked'
                   WHEN i.expires_at <= $1 THEN 'expired' ELSE 'pending' END = ANY($2)""",
                now,
                query.status,
            )
        )
    page = await fetch(read, InvitationRow, _INVITATIONS, query, conditions)
    return Page(items=[shown_invitation(row, now) for row in page.items], pagination=page.pagination)


def shown_invitation(row: InvitationRow, now: datetime) -> Invitation:
    return Invitation(**alike(row, Invitation), status=row.status(now))
