"""What is said of what happened."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cygnid.core.filters import CreatedQuery
from cygnid.core.paging import PageQuery
from cygnid.core.schemas import FreeMap, Out, Timestamp

INSTALLATION = "null"
"""Where a query names a team: the installation's own chain."""
Result = Literal["success", "denied", "failed"]
ExportFormat = Literal["jsonl", "csv"]
Seq = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class AuditEvent(StrEnum):
    EXPORTED = "audit.exported"
    PRUNED = "audit.pruned"


class AuditActor(Out, frozen=True, kw_only=True):
    type: Literal["user", "token", "system", "anonymous"]
    id: str | None
    name: str
    """As it was then."""
    token_id: str | None
    ip: str | None


class ResourceRef(Out, frozen=True, kw_only=True):
    type: str
    id: str | None
    name: str | None


class AuditRow(Out, frozen=True, kw_only=True):
    id: str
    seq: int
    team_id: str | None
    """The chain; null: the installation's."""
    project_id: str | None
    environment: str | None
    created_at: Timestamp
    action: str
    result: Result
    actor: AuditActor
    resource: ResourceRef
    before: FreeMap | None
    after: FreeMap | None
    reason: str | None
    request_id: str | None
    prev_hash: str
    hash: str


class AuditVerification(Out, frozen=True, kw_only=True):
    valid: bool
    checked_rows: int
    first_bad_seq: int | None
    head_seq: int
    head_hash: str


class AuditCheckpoint(Out, frozen=True, kw_only=True):
    id: str
    team_id: str | None
    """The chain; null: the installation's."""
    seq: int
    hash: str
    """Of the row with this seq."""
    signed_at: Timestamp
    key_id: str
    """`key_` and the first 16 hex digits of the public key's SHA-256."""
    public_key: str
    """Ed25519, 32 bytes in base64. Keep it elsewhere once: whoever can alter this answer can alter this, too."""
    signature: str
    """Base64, over the lines teamId (`null` without one), seq and hash, with a line feed between them."""


class AuditQuery(CreatedQuery, frozen=True, kw_only=True):
    team_id: str | None = None
    """A team, or `null`: the installation's chain."""
    actor_id: list[str] | None = None
    action: list[str] | None = None
    resource_type: list[str] | None = None
    resource_id: list[str] | None = None
    project_id: str | None = None
    environment: str | None = None
    result: list[Result] | None = None
    ip: list[str] | None = None


class ExportQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The filters of the list."""

    format: ExportFormat = "jsonl"
    since: Timestamp | None = None
    until: Timestamp | None = None
    created_at_gte: Timestamp | None = msgspec.field(name="createdAt[gte]", default=None)
    created_at_gt: Timestamp | None = msgspec.field(name="createdAt[gt]", default=None)
    created_at_lte: Timestamp | None = msgspec.field(name="createdAt[lte]", default=None)
    created_at_lt: Timestamp | None = msgspec.field(name="createdAt[lt]", default=None)
    team_id: str | None = None
    """A team, or `null`: the installation's chain."""
    actor_id: list[str] | None = None
    action: list[str] | None = None
    resource_type: list[str] | None = None
    resource_id: list[str] | None = None
    project_id: str | None = None
    environment: str | None = None
    result: list[Result] | None = None
    ip: list[str] | None = None

    def as_list(self) -> AuditQuery:
        """The query of the list with the same filters."""
        same = (name for name in self.__struct_fields__ if name != "format")
        return AuditQuery(**{name: getattr(self, name) for name in same})


class CheckpointsQuery(PageQuery, frozen=True, kw_only=True):
    team_id: str | None = None
    """A team, or `null`: the installation's chain."""


class VerifyQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    team_id: str | None = None
    """A team, or `null`: the installation's chain."""
    from_seq: Seq | None = None
    to_seq: Seq | None = None
