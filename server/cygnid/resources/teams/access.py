"""Which team a request is about, and which teams a list shows."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Self

from cygnid.core.access import (
    BOUND,
    Permission,
    TeamAccess,
    held_by_team,
    held_in,
    permissions_by_team,
    refused_in,
    require,
    team_access,
)
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import Forbidden, ValidationError
from cygnid.core.http import Call
from cygnid.resources.teams.queries import Parts


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


@dataclass(frozen=True, kw_only=True)
class ListedParts(Parts):
    """The parts that a list shows."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Of the `teamId` of the query, or of every team. Raises as `parts_with`."""
        return cls(**vars(await parts_with(read, call.actor, call.reference("team_id"), needs)))


async def chosen_team(read: Read, actor: Actor, team_id: str | None, needs: Permission) -> TeamAccess:
    """The named team, or the caller's only one. Raises ValidationError when there are several to choose from,
    Forbidden when there is none, and what `team_access` raises."""
    return await team_access(read, actor, team_id or await only_team(read, actor), needs)


async def only_team(read: Read, actor: Actor) -> str:
    """Of who is in one team alone. Raises ValidationError when there are several to choose from, Forbidden for none."""
    allowed = sorted(await permissions_by_team(read, actor))
    if not allowed:
        raise Forbidden("You are in no team.", hint="Ask an owner or admin of a team for an invitation.")
    if len(allowed) > 1:
        raise ValidationError.one(
            "teamId", "You are in several teams: name the one you mean.", code="required", allowed=allowed
        )
    return allowed[0]


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


async def parts_with(read: Read, actor: Actor, team_id: str | None, needs: Permission) -> Parts:
    """As `teams_with`, and the projects and environments in which a grant gives the caller the permission."""
    if not actor.reaches(None, None):
        raise Forbidden(BOUND, hint="Use a team or personal token for anything else.")
    if team_id is None:
        by_team = await held_by_team(read, actor)
    else:
        by_team = {team_id: await held_in(read, actor, team_id)}
    if by_team and not any(needs in held.anywhere for held in by_team.values()):
        everywhere = frozenset[Permission]().union(*(held.anywhere for held in by_team.values()))
        with refused_in(team_id) if team_id else nullcontext():
            require(everywhere, needs)
    teams = sorted(team for team, held in by_team.items() if needs in held.on())
    projects: set[str] = set()
    environments: set[tuple[str, str]] = set()
    for held in by_team.values():
        for holding in held.holdings:
            if holding.project_id is None or holding.team_id in teams:
                continue
            if needs not in held.on(holding.project_id, holding.environment):
                continue
            if holding.environment is None or needs in held.on(holding.project_id):
                projects.add(holding.project_id)
            else:
                environments.add((holding.project_id, holding.environment))
    return Parts(team_ids=teams, project_ids=sorted(projects), environments=sorted(environments))
