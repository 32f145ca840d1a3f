"""Routes of git connections."""

from cygnid.core.access import Permission
from cygnid.core.db import Read, Tx
from cygnid.core.errors import InUse, ValidationError
from cygnid.core.http import Answer, Call, operation
from cygnid.core.schemas import Page
from cygnid.resources.connections import actions, queries
from cygnid.resources.connections.access import ConnectionAccess
from cygnid.resources.connections.queries import ConnectionRow
from cygnid.resources.connections.schemas import ConnectionInput, ConnectionsQuery, GitConnection
from cygnid.resources.teams.access import ChosenTeam, ListedTeams


@operation("GET", "/v1/git/connections", id="gitConnections.list", needs=Permission.PROJECTS_READ)
async def list_connections(read: Read, teams: ListedTeams, query: ConnectionsQuery) -> Page[GitConnection]:
    """List git connections: how private repositories are reached."""
    return await queries.connections(read, teams.team_ids, query)


@operation(
    "POST",
    "/v1/git/connections",
    id="gitConnections.create",
    needs=Permission.PROJECTS_ADMIN,
    status=201,
    answers=GitConnection,
    errors=[ValidationError],
    example={"name": "our git server", "host": "git.example.com", "auth": {"type": "sshKey"}},
)
async def create_connection(tx: Tx, call: Call, access: ChosenTeam, data: ConnectionInput) -> Answer:
    """Keep a token for a git host, or make an ssh key for it; neither is ever shown, the key's public half always."""
    row = await actions.create(tx, access, data, call.services.secrets, request_id=call.request_id)
    return _answer(row, location=f"/v1/git/connections/{row.id}")


@operation(
    "GET",
    "/v1/git/connections/{id}",
    id="gitConnections.get",
    needs=Permission.PROJECTS_READ,
    answers=GitConnection,
)
async def get_connection(access: ConnectionAccess) -> Answer:
    """Get a git connection, with the public key that its host must know."""
    return _answer(access.connection)


@operation(
    "DELETE",
    "/v1/git/connections/{id}",
    id="gitConnections.delete",
    needs=Permission.PROJECTS_ADMIN,
    status=204,
    errors=[InUse],
)
async def delete_connection(tx: Tx, call: Call, access: ConnectionAccess) -> None:
    """Delete a git connection that no project uses."""
    await actions.delete(tx, access, request_id=call.request_id)


def _answer(row: ConnectionRow, *, location: str | None = None) -> Answer:
    return Answer(data=queries.shown(row), version=row.version, location=location)
