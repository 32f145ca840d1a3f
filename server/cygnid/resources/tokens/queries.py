"""The table `tokens`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from cygnid.core.db import Read
from cygnid.resources.tokens.schemas import StoredKind, Token, TokenStatus, TokenWithSecret

_COLUMNS = """id, kind, name, team_id, user_id, project_id, environment, prefix, last4, previous_secret_expires_at,
    scopes, allowed_ips, expires_at, revoked_at, last_used_at, last_used_ip, version, created_at, updated_at,
    created_by"""


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
    expires_at: datetime | None
    revoked_at: datetime | None
    user_name: str | None
    user_is_instance_admin: bool
    plans: list[str]
    """Of the token's living team, or of the living teams of its user."""


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
               tokens.scopes, tokens.allowed_ips, tokens.expires_at, tokens.revoked_at, users.name AS user_name,
               coalesce(users.is_instance_admin, false) AS user_is_instance_admin,
               ARRAY(SELECT teams.plan FROM teams WHERE teams.deleted_at IS NULL AND (teams.id = tokens.team_id
                   OR teams.id IN (SELECT team_id FROM members WHERE members.user_id = tokens.user_id))) AS plans
           FROM tokens LEFT JOIN users ON users.id = tokens.user_id
           WHERE tokens.secret_hash = $1 OR tokens.previous_secret_hash = $1""",
        digest,
    )


async def visible_tokens(
    read: Read,
    *,
    team_ids: Sequence[str],
    managed_team_ids: Sequence[str],
    own_user_id: str | None,
    now: datetime,
    project_id: str | None = None,
    environment: str | None = None,
    status: TokenStatus | None = None,
    kind: StoredKind | None = None,
    user_id: str | None = None,
) -> list[TokenRow]:
    """Newest first: the tokens of `team_ids` (the caller may read tokens there), the personal ones of the members of
    `managed_team_ids` (the caller may write tokens there), and everything that is `own_user_id`'s. Filters narrow."""
    return await read.all(
        TokenRow,
        f"""SELECT {_COLUMNS} FROM tokens
            WHERE (team_id = ANY($1) OR user_id = $3 OR (kind = 'personal'
                   AND user_id IN (SELECT members.user_id FROM members WHERE members.team_id = ANY($2))))
              AND ($5::text IS NULL OR project_id = $5)
              AND ($6::text IS NULL OR environment = $6)
              AND ($7::text IS NULL OR $7 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                   WHEN expires_at <= $4 THEN 'expired' ELSE 'active' END)
              AND ($8::text IS NULL OR kind = $8)
              AND ($9::text IS NULL OR user_id = $9)
            ORDER BY id DESC""",  # noqa: S608  a constant
        team_ids,
        managed_team_ids,
        own_user_id,
        now,
        project_id,
        environment,
        status,
        kind,
        user_id,
    )


def shown(row: TokenRow, now: datetime) -> Token:
    """The token on the wire."""
    return Token(**_fields(row, now))


def shown_with_secret(row: TokenRow, secret: str, now: datetime) -> TokenWithSecret:
    return TokenWithSecret(**_fields(row, now), secret=secret)


def _fields(row: TokenRow, now: datetime) -> dict[str, Any]:
    fields = msgspec.structs.asdict(row)
    del fields["version"]
    return {**fields, "status": row.status(now)}
