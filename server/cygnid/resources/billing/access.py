"""Whose plan a request is about."""

from dataclasses import dataclass
from typing import Self

from cygnid.core.access import permissions_by_team
from cygnid.core.db import Read
from cygnid.core.errors import Forbidden, NotFound, ValidationError
from cygnid.core.http import Call, Needs


@dataclass(frozen=True, kw_only=True)
class MemberTeam:
    """A team that the caller acts in, whatever they may do there: the `teamId` of the query, else their only one."""

    team_id: str

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Needs) -> Self:  # noqa: ARG003  every member may
        """Raises NotFound for another's, ValidationError when there are several to choose from, Forbidden for none."""
        allowed, team_id = sorted(await permissions_by_team(read, call.actor)), call.reference("team_id")
        if team_id is None and not allowed:
            raise Forbidden("You are in no team.", hint="Ask an owner or admin of a team for an invitation.")
        if team_id is None and len(allowed) > 1:
            raise ValidationError.one(
                "teamId", "You are in several teams: name the one you mean.", code="required", allowed=allowed
            )
        if team_id is not None and team_id not in allowed:
            raise NotFound
        return cls(team_id=team_id or allowed[0])
