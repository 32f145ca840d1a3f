"""What is said of git connections."""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from cygnid.core.errors import InUse
from cygnid.core.filters import TimeQuery
from cygnid.core.schemas import In, Out, Timestamp

AuthType = Literal["token", "sshKey"]
Provider = Literal["generic"]


class ConnectionEvent(StrEnum):
    CREATED = "git_connection.created"
    DELETED = "git_connection.deleted"


class ConnectionInUse(InUse):
    """A project's source uses this connection."""

    hint = "Give its source another connection first; a deleted project keeps its own until it is purged."


class ConnectionAuth(In, frozen=True, kw_only=True):
    """`token`: over https, with the user name that the host wants beside it, if any. `sshKey`: over ssh, with a key
    that is made here; its public half is in the answer."""

    type: AuthType
    token: Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[!-~]+$")] | None = None
    username: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-9;-~]+$")] | None = None


class ConnectionInput(In, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    team_id: str | None = None
    provider: Provider = "generic"
    host: Annotated[str, Meta(min_length=1, max_length=255)]
    """The one host that may see the secret: `git.example.com`, with its port if that is not the usual one."""
    auth: ConnectionAuth
    known_hosts: Annotated[str, Meta(max_length=16384)] = ""
    """For ssh: the host's keys as in ssh's known_hosts; empty: those it shows when it is first met."""


class ConnectionsQuery(TimeQuery, frozen=True, kw_only=True):
    team_id: str | None = None


class ConnectionAuthOut(Out, frozen=True, kw_only=True):
    type: AuthType
    username: str | None


class GitConnection(Out, frozen=True, kw_only=True):
    id: str
    team_id: str
    name: str
    provider: Provider
    host: str
    auth: ConnectionAuthOut
    public_key: str | None
    """Of an ssh key: what the host must be told, as a line of authorized_keys; null: a token."""
    known_hosts: str
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str
