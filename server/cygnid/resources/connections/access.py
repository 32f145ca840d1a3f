"""Which git connection a request is about."""

from dataclasses import dataclass
from typing import Self

from cygnid.core.access import Permission, TeamAccess, team_access
from cygnid.core.db import Read
from cygnid.core.errors import NotFound
from cygnid.core.http import Call
from cygnid.resources.connections import queries
from cygnid.resources.connections.queries import ConnectionRow


@dataclass(frozen=True, kw_only=True)
class ConnectionAccess(TeamAccess):
    """Proof that the actor may do this to the connection of the path."""

    connection: ConnectionRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises NotFound, InsufficientScope, Forbidden."""
        row = await queries.connection(read, call.path["id"])
        if row is None:
            raise NotFound
        return cls(**vars(await team_access(read, call.actor, row.team_id, needs)), connection=row)
