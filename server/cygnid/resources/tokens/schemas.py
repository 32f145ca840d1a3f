"""What is said of tokens."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from cygnid.core.filters import Search, TimeQuery
from cygnid.core.schemas import In, Out, Timestamp
from cygnid.resources.teams.schemas import TeamRef
from cygnid.resources.users.schemas import User

TokenKind = Literal["personal", "team", "deploy"]
"""The kinds that may be created by hand; a session comes from signing in."""
StoredKind = Literal["personal", "team", "deploy", "session"]
TokenStatus = Literal["active", "expired", "revoked"]


class TokenEvent(StrEnum):
    CREATED = "token.created"
    UPDATED = "token.updated"
    REVOKED = "token.revoked"
    ROTATED = "token.rotated"
    LEAKED = "token.leaked"


Name = Annotated[str, Meta(min_length=1, max_length=100)]
Scopes = Annotated[list[str], Meta(min_length=1, max_length=100)]
Networks = Annotated[list[str], Meta(max_length=100, description="Addresses and networks (CIDR); none: any.")]


class TokenInput(In, frozen=True, kw_only=True):
    name: Name
    scopes: Scopes
    kind: TokenKind | None = None
    """None: personal for a user, team for a team's token."""
    team_id: str | None = None
    project_id: str | None = None
    environment: str | None = None
    expires_at: Timestamp | None = None
    allowed_ips: Networks = []


class TokenPatch(In, frozen=True, kw_only=True):
    name: Name | UnsetType = UNSET
    allowed_ips: Networks | UnsetType | None = UNSET
    scopes: Scopes | UnsetType = UNSET
    """A subset of those it has."""


class RotateInput(In, frozen=True, kw_only=True):
    overlap_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 0


class LeakedToken(In, frozen=True, kw_only=True):
    """As secret scanners report what they have found in public."""

    token: Annotated[str, Meta(max_length=1024)]
    type: Annotated[str, Meta(max_length=255)] = ""
    url: Annotated[str, Meta(max_length=2048)] | None = None
    source: Annotated[str, Meta(max_length=255)] | None = None


class LeakReport(In, frozen=True, kw_only=True):
    """The array alone is taken too: GitHub's secret scanning sends it so."""

    bare_array: ClassVar[bool] = True
    reports: Annotated[list[LeakedToken], Meta(min_length=1, max_length=100)]


class LeakAnswer(Out, frozen=True, kw_only=True):
    received: int
    """How many were reported; nothing is said of what they are."""


class TokensQuery(TimeQuery, frozen=True, kw_only=True):
    project_id: str | None = None
    status: list[TokenStatus] = []
    kind: list[StoredKind] = []
    user_id: list[str] = []
    search: Search | None = None


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


class Me(Out, frozen=True, kw_only=True):
    user: User | None
    """null for team and deploy tokens."""
    token: Token
    teams: list[TeamRef]
