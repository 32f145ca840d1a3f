"""Whose audit rows a request may see."""

from dataclasses import dataclass
from typing import Self

from cygnid.core.access import Permission, expand, require
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import NotFound
from cygnid.core.http import Call
from cygnid.resources.audit.queries import Chains
from cygnid.resources.audit.schemas import INSTALLATION
from cygnid.resources.teams.access import chosen_team, teams_with


@dataclass(frozen=True, kw_only=True)
class AuditAccess:
    """Proof that the actor may read the rows of these chains."""

    chains: Chains

    @classmethod
    async def listed(cls, read: Read, actor: Actor, team_id: str | None) -> Self:
        """Of the named team, or of all in which the caller may read them; with `instance:admin` also the
        installation's. Raises NotFound, InsufficientScope, Forbidden."""
        if team_id == INSTALLATION:
            return cls._installation(actor)
        teams = await teams_with(read, actor, team_id, Permission.AUDIT_READ)
        return cls(chains=Chains(team_ids=teams, installation=team_id is None and _administers(actor)))

    @classmethod
    async def of_one(cls, read: Read, actor: Actor, team_id: str | None) -> Self:
        """Of one chain: the named team's, or that of the caller's only one. Raises ValidationError, NotFound,
        InsufficientScope, Forbidden."""
        if team_id == INSTALLATION:
            return cls._installation(actor)
        access = await chosen_team(read, actor, team_id, Permission.AUDIT_READ)
        return cls(chains=Chains(team_ids=[access.team_id], installation=False))

    @classmethod
    async def of_row(cls, read: Read, actor: Actor, team_id: str | None) -> Self:
        """Of the chain that a row is in: somebody else's is as if it were not there. Raises as `listed`."""
        if team_id is None and not _administers(actor):
            raise NotFound
        return await cls.listed(read, actor, team_id or INSTALLATION)

    @classmethod
    def _installation(cls, actor: Actor) -> Self:
        require(expand(actor.scopes) if actor.is_instance_admin else frozenset(), Permission.INSTANCE_ADMIN)
        return cls(chains=Chains(team_ids=[], installation=True))


class ExportAccess(AuditAccess):
    """The same, found from the query."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> AuditAccess:  # noqa: ARG003  it is audit:read
        """Raises as `listed`."""
        return await cls.listed(read, call.actor, call.query.team_id)


def _administers(actor: Actor) -> bool:
    return actor.is_instance_admin and Permission.INSTANCE_ADMIN in expand(actor.scopes)
