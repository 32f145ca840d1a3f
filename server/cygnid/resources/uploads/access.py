"""Whose upload it is: it belongs to the user or token that made it, not to a team."""

from dataclasses import dataclass
from typing import Self

from cygnid.core.access import Permission, expand, held_by_team, require
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import NotFound
from cygnid.core.http import Call
from cygnid.resources.uploads import queries
from cygnid.resources.uploads.queries import UploadRow


@dataclass(frozen=True, kw_only=True)
class UploadsAccess:
    """Proof that the actor may deploy somewhere, and so may upload."""

    actor: Actor
    team_id: str | None
    """The only team in which they may."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises InsufficientScope."""
        by_team = await held_by_team(read, call.actor)
        teams = [team for team, held in by_team.items() if needs in held.anywhere]
        if not teams:
            require(expand(call.actor.scopes) - {needs}, needs)
        return cls(actor=call.actor, team_id=teams[0] if len(teams) == 1 else None)


@dataclass(frozen=True, kw_only=True)
class UploadAccess(UploadsAccess):
    """Proof that the upload of the path is the actor's."""

    upload: UploadRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises InsufficientScope, NotFound."""
        access = await UploadsAccess.find(read, call, needs)
        row = await queries.usable(read, call.actor, call.path["id"])
        if row is None:
            raise NotFound
        return cls(**vars(access), upload=row)
