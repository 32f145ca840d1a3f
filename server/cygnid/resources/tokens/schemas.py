"""What is said of tokens."""

from enum import StrEnum
from typing import Literal

from cygnid.core.schemas import Out, Timestamp

TokenKind = Literal["personal", "team", "deploy"]
"""The kinds that may be created by hand; a session comes from signing in."""
StoredKind = Literal["personal", "team", "deploy", "session"]
TokenStatus = Literal["active", "expired", "revoked"]


class TokenEvent(StrEnum):
    CREATED = "token.created"
    REVOKED = "token.revoked"
    ROTATED = "token.rotated"


class Token(Out, frozen=True, kw_only=True):
    id: str
    team_id: str | None
    kind: StoredKind
    name: str
    prefix: str
    last4: str
    scopes: list[str]
    project_id: str | None
    environment: str | None
    user_id: str | None
    allowed_ips: list[str]
    status: TokenStatus
    last_used_at: Timestamp | None
    last_used_ip: str | None
    expires_at: Timestamp | None
    revoked_at: Timestamp | None
    previous_secret_expires_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str


class TokenWithSecret(Token, frozen=True, kw_only=True):
    """The only answer that shows a token's secret."""

    secret: str
