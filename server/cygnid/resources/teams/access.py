"""Which team a request is about, and which teams a list shows."""

from dataclasses import dataclass
from typing import Self

from cygnid.core.access import BOUND, Permission, TeamAccess, permissions_by_team, require, team_access
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import Forbidden, ValidationError
from cygnid.core.http import Call


@dataclass(frozen=True, kw_only=True)
class ChosenTeam(TeamAccess):
    """The team in which something is made: the `teamId` of body or query, else the caller's only one."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        return cls(**vars(await chosen_team(read, call.actor, call.reference("team_id"), needs)))


@dataclass(frozen=True, kw_only=True)
class ListedTeams:
    """The teams that a list shows."""

    team_ids: list[str]

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        return cls(team_ids=await teams_with(read, call.actor, call.reference("team_id"), needs))


async def chosen_team(read: Read, actor: Actor, team_id: str | None, needs: Permission) -> TeamAccess:
    """The named team, or the caller's only one. Raises ValidationError when there are several to choose from,
    Forbidden when there is none, and what `team_access` raises."""
    if team_id is None:
        allowed = sorted(await permissions_by_team(read, actor))
        if not allowed:
            raise Forbidden("You are in no team.", hint="Ask an owner or admin of a team for an invitation.")
        if len(allowed) > 1:
            raise ValidationError.one(
                "teamId", "You are in several teams: name the one you mean.", code="required", allowed=allowed
            )
        team_id = allowed[0]
    return await team_access(read, actor, team_id, needs)


async def teams_with(read: Read, actor: Actor, team_id: str | None, needs: Permission) -> list[str]:
    """The teams that a list shows: the named one, or every one in which the caller may do this.
    Raises NotFound, InsufficientScope and Forbidden as for one team; also when the permission lacks in every team."""
    if team_id is not None:
        return [(await team_access(read, actor, team_id, needs)).team_id]
    if not actor.reaches(None, None):
        raise Forbidden(BOUND, hint="Use a team or personal token for anything else.")
    by_team = await permissions_by_team(read, actor)
    found = sorted(team for team, permissions in by_team.items() if needs in permissions)
    if by_team and not found:
        require(frozenset().union(*by_team.values()), needs)
    return found
