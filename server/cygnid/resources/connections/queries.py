"""The table `git_connections`."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cygnid.core.db import Read
from cygnid.core.filters import by_time
from cygnid.core.paging import Listing, fetch, where
from cygnid.core.schemas import Page, alike
from cygnid.core.secrets import Secrets
from cygnid.resources.connections.schemas import (
    AuthType,
    ConnectionAuthOut,
    ConnectionsQuery,
    GitConnection,
    Provider,
)

_SELECT = """SELECT id, team_id, name, provider, host, auth_type, username, public_key, known_hosts, version,
    created_at, updated_at, created_by FROM git_connections"""
_LISTING = Listing(
    select=_SELECT,
    sorts={"name": "name", "createdAt": "created_at", "updatedAt": "updated_at"},
)


class ConnectionRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    name: str
    provider: Provider
    host: str
    auth_type: AuthType
    username: str | None
    public_key: str | None
    known_hosts: str
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str


async def connection(read: Read, connection_id: str) -> ConnectionRow | None:
    return await read.one(ConnectionRow, f"{_SELECT} WHERE id = $1", connection_id)


async def connections(read: Read, team_ids: Sequence[str], query: ConnectionsQuery) -> Page[GitConnection]:
    conditions = [
        where("team_id = ANY($1)", team_ids),
        *by_time(query, created="created_at", updated="updated_at"),
    ]
    page = await fetch(read, ConnectionRow, _LISTING, query, conditions)
    return Page(items=[shown(row) for row in page.items], pagination=page.pagination)


async def secret(read: Read, secrets: Secrets, connection_id: str) -> str | None:
    """The token, or the private key; None: there is no such connection any more."""
    sealed = await read.value("SELECT secret FROM git_connections WHERE id = $1", connection_id)
    return None if sealed is None else secrets.open(purpose(connection_id), sealed).decode()


def purpose(connection_id: str) -> str:
    """What its secret is sealed for."""
    return f"git connection {connection_id}"


def shown(row: ConnectionRow) -> GitConnection:
    auth = ConnectionAuthOut(type=row.auth_type, username=row.username)
    return GitConnection(**alike(row, GitConnection), auth=auth)
