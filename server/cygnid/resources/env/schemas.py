"""What is said of environment variables."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cygnid.core.errors import Conflict, InvalidState
from cygnid.core.filters import Search, TimeQuery
from cygnid.core.schemas import In, Out, Timestamp

EnvType = Literal["plain", "secret", "file"]
EnvTarget = Literal["build", "runtime", "both"]
EnvFormat = Literal["dotenv", "json", "shell"]
Key = Annotated[str, Meta(min_length=1, max_length=255)]
Value = Annotated[str, Meta(max_length=65536)]
Comment = Annotated[str, Meta(max_length=500)]
Reason = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
Entry = Annotated[str, Meta(min_length=1, max_length=40)]
"""An environment's name, or `preview` for all of that type."""
Entries = Annotated[list[Entry], Meta(min_length=1, max_length=100)]


class EnvEvent(StrEnum):
    CREATED = "env.created"
    UPDATED = "env.updated"
    DELETED = "env.deleted"
    REVEALED = "env.revealed"
    EXPORTED = "env.exported"


class EnvOverlap(Conflict):
    """Another variable has this key in one of these environments."""

    hint = "Change that variable, or name other environments: a key has one variable for each environment."


class NeverPlain(InvalidState):
    """A variable of type secret or file never becomes plain."""

    hint = "Delete it and create a plain one with a value that everybody may read."


class EnvVariableInput(In, frozen=True, kw_only=True):
    project_id: str
    key: Key
    value: Value
    environments: Entries
    type: EnvType = "secret"
    target: EnvTarget = "both"
    comment: Comment | None = None


class EnvVariablePatch(In, frozen=True, kw_only=True):
    value: Value | UnsetType = UNSET
    environments: Entries | UnsetType = UNSET
    type: EnvType | UnsetType = UNSET
    target: EnvTarget | UnsetType = UNSET
    comment: Comment | UnsetType | None = UNSET


class EnvAssignment(In, frozen=True, kw_only=True):
    """One of many: what is absent stays as it is; of a new variable it is secret, both, none."""

    key: Key
    value: Value
    type: EnvType | UnsetType = UNSET
    target: EnvTarget | UnsetType = UNSET
    comment: Comment | UnsetType | None = UNSET


class EnvBulkInput(In, frozen=True, kw_only=True):
    project_id: str
    environment: Entry
    variables: Annotated[list[EnvAssignment], Meta(max_length=1000)]
    prune: bool = False


class EnvImportInput(In, frozen=True, kw_only=True):
    project_id: str
    environment: Entry
    content: str


class EnvExportInput(In, frozen=True, kw_only=True):
    project_id: str
    environment: Entry
    reason: Reason
    format: EnvFormat = "dotenv"


class EnvRevealInput(In, frozen=True, kw_only=True):
    reason: Reason


class EnvRollbackInput(In, frozen=True, kw_only=True):
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class EnvQuery(TimeQuery, frozen=True, kw_only=True):
    project_id: str
    environment: str | None = None
    """Those that count there; `preview`: those of that entry."""
    key: str | None = None
    search: Search | None = None
    """Part of a key."""
    type: list[EnvType] = []
    pending: bool | None = None


class DryRunQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    dry_run: bool = False


class EnvVariable(Out, frozen=True, kw_only=True):
    id: str
    team_id: str
    project_id: str
    key: str
    value: str | None
    """Null of type secret and file, and for who may not read values."""
    environments: list[str]
    type: EnvType
    target: EnvTarget
    comment: str | None
    version: int
    deployed_version: int | None
    """The lowest that a current deployment of its environments runs."""
    pending: bool
    """Some environment runs something else than this version."""
    updated_by: str
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str


class EnvVariableValue(Out, frozen=True, kw_only=True):
    id: str
    key: str
    value: str
    version: int


class EnvVersion(Out, frozen=True, kw_only=True):
    version: int
    changed_by: str
    changed_at: Timestamp
    value_hash: str
    """Good only to see whether two values of a project are equal."""


class EnvLineError(Out, frozen=True, kw_only=True):
    line: int
    reason: str


class EnvImportAnswer(Out, frozen=True, kw_only=True):
    created: int
    updated: int
    unchanged: int
    deleted: int
    errors: list[EnvLineError]
    """Where there is one, nothing was changed."""


class EnvExport(Out, frozen=True, kw_only=True):
    format: EnvFormat
    content: str
