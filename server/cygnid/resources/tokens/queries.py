"""The table `tokens`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from cygnid.core.db import Read
from cygnid.core.filters import by_time, searched
from cygnid.core.paging import Condition, Listing, fetch, filtered, where
from cygnid.core.schemas import Page
from cygnid.resources.tokens.schemas import StoredKind, Token, TokensQuery, TokenStatus, TokenWithSecret

_COLUMNS = """id, kind, name, team_id, user_id, project_id, environment, prefix, last4, previous_secret_expires_at,
    scopes, allowed_ips, revoked_at, last_used_at, last_used_ip, version, created_at, updated_at, created_by,
    least(expires_at, secret_created_at + (SELECT make_interval(days => max_token_age_days) FROM teams
        WHERE teams.id = tokens.team_id)) AS expires_at"""


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: StoredKind
    name: str
    team_id: str | None
    user_id: str | None
    project_id: str | None
    environment: str | None
    prefix: str
    last4: str
    previous_secret_expires_at: datetime | None
    scopes: list[str]
    allowed_ips: list[str]
    expires_at: datetime | None
    """Its own end, or that which its team sets by the age of its secret: whichever comes first."""
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_ip: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str

    def status(self, now: datetime) -> TokenStatus:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A token as the door needs it, with what its owner brings."""

    id: str
    kind: StoredKind
    name: str
    team_id: str | None
    user_id: str | None
    project_id: str | None
    environment: str | None
    secret_hash: bytes
    previous_secret_hash: bytes | None
    previous_secret_expires_at: datetime | None
    scopes: list[str]
    allowed_ips: list[str]
    team_allowed_ips: list[str]
    secret_created_at: datetime
    expires_at: datetime | None
    """As in the row: a team's tokens end with the age that it allows."""
    revoked_at: datetime | None
    user_name: str | None
    user_is_instance_admin: bool
    plans: list[str]
    """Of the token's living team, or of the living teams of its user."""


_LISTING = Listing(
    select=f"SELECT * FROM (SELECT {_COLUMNS} FROM tokens) t",  # noqa: S608  constant
    sorts={"createdAt": "created_at", "updatedAt": "updated_at", "name": "name"},
)


async def token(read: Read, token_id: str) -> TokenRow | None:
    return await read.one(TokenRow, f"SELECT {_COLUMNS} FROM tokens WHERE id = $1", token_id)  # noqa: S608  constant


async def token_for_change(read: Read, token_id: str) -> TokenRow | None:
    """Locked until the transaction ends."""
    return await read.one(
        TokenRow,
        f"SELECT {_COLUMNS} FROM tokens WHERE id = $1 FOR UPDATE",  # noqa: S608  constant
        token_id,
    )


async def credential(read: Read, digest: bytes) -> Credential | None:
    """The token whose present or previous secret has this digest; the caller judges whether it still counts."""
    return await read.one(
        Credential,
        """SELECT tokens.id, tokens.kind, tokens.name, tokens.team_id, tokens.user_id, tokens.project_id,
               tokens.environment, tokens.secret_hash, tokens.previous_secret_hash, tokens.previous_secret_expires_at,
               tokens.scopes, tokens.allowed_ips, coalesce(own.allowed_ips, '{}') AS team_allowed_ips,
               tokens.secret_created_at, tokens.revoked_at, users.name AS user_name,
               least(tokens.expires_at, tokens.secret_created_at + make_interval(days => own.max_token_age_days))
                   AS expires_at,
               coalesce(users.is_instance_admin, false) AS user_is_instance_admin,
               ARRAY(SELECT teams.plan FROM teams WHERE teams.deleted_at IS NULL AND (teams.id = tokens.team_id
                   OR teams.id IN (SELECT team_id FROM members WHERE members.user_id = tokens.user_id))) AS plans
           FROM tokens LEFT JOIN users ON users.id = tokens.user_id LEFT JOIN teams own ON own.id = tokens.team_id
           WHERE tokens.secret_hash = $1 OR tokens.previous_secret_hash = $1""",
        digest,
    )


async def token_of_secret(read: Read, digest: bytes, now: datetime) -> TokenRow | None:
    """The token whose present secret, or the one before while that counts, has this digest; locked until the
    transaction ends. Not a revoked one."""
    return await read.one(
        TokenRow,
        f"""SELECT {_COLUMNS} FROM tokens
            WHERE revoked_at IS NULL AND (secret_hash = $1 OR previous_secret_hash = $1
                AND previous_secret_expires_at > $2) FOR UPDATE""",  # noqa: S608  constant
        digest,
        now,
    )


@dataclass(frozen=True, kw_only=True)
class Visible:
    """Which tokens a caller sees."""

    team_ids: Sequence[str]
    """Their tokens: the caller may read tokens there."""
    managed_team_ids: Sequence[str]
    """The personal tokens of their members: the caller may end tokens there."""
    user_id: str | None
    """All that is this user's."""
    project_id: str | None = None
    environment: str | None = None
    """What the caller is bound to: nothing else is seen."""


def _seen(visible: Visible) -> list[Condition]:
    found = [
        where(
            """team_id = ANY($1) OR user_id = $3 OR (kind = 'personal' AND user_id IN (
                   SELECT members.user_id FROM members WHERE members.team_id = ANY($2)))""",
            visible.team_ids,
            visible.managed_team_ids,
            visible.user_id,
        )
    ]
    if visible.project_id is not None:
        found.append(where("project_id = $1", visible.project_id))
    if visible.environment is not None:
        found.append(where("environment = $1", visible.environment))
    return found


async def visible_token(read: Read, visible: Visible, token_id: str) -> TokenRow | None:
    sql, values = filtered(_LISTING, [*_seen(visible), where("id = $1", token_id)])
    return await read.one(TokenRow, sql, *values)


async def visible_tokens(read: Read, visible: Visible, query: TokensQuery, now: datetime) -> Page[Token]:
    """Newest first; the filters of `query` narrow."""
    conditions = _seen(visible) + by_time(query) + searched(query.search, "name")
    if query.project_id is not None:
        conditions.append(where("project_id = $1", query.project_id))
    if query.kind:
        conditions.append(where("kind = ANY($1)", query.kind))
    if query.user_id:
        conditions.append(where("user_id = ANY($1)", query.user_id))
    if query.status:
        conditions.append(
            where(
                """CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= $1 THEN 'expired'
                   ELSE 'active' END = ANY($2)""",
                now,
                query.status,
            )
        )
    page = await fetch(read, TokenRow, _LISTING, query, conditions)
    return Page(items=[shown(row, now) for row in page.items], pagination=page.pagination)


def shown(row: TokenRow, now: datetime) -> Token:
    """The token on the wire."""
    return Token(**_fields(row, now))


def shown_with_secret(row: TokenRow, secret: str, now: datetime) -> TokenWithSecret:
    return TokenWithSecret(**_fields(row, now), secret=secret)


def _fields(row: TokenRow, now: datetime) -> dict[str, Any]:
    fields = msgspec.structs.asdict(row)
    del fields["version"]
    return {**fields, "status": row.status(now)}
