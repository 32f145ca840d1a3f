"""Which team, member or invitation a request is about."""

from dataclasses import dataclass
from typing import Self

import msgspec

from cygnid.core.access import Permission, TeamAccess, expand, refused_in, require, team_access
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import Forbidden, NotFound
from cygnid.core.http import Call
from cygnid.resources.permissions import people
from cygnid.resources.permissions.people import InvitationRow, MemberView


@dataclass(frozen=True, kw_only=True)
class TeamOfPath(TeamAccess):
    """Proof that the actor may do this to the team of the path."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises NotFound, InsufficientScope, Forbidden."""
        return cls(**vars(await team_access(read, call.actor, call.path["id"], needs)))


class _Scopes(msgspec.Struct, frozen=True):
    scopes: list[str]


@dataclass(frozen=True, kw_only=True)
class DeletedTeamOfPath(TeamOfPath):
    """The same, for what can be done to a deleted team too."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        team_id, actor = call.path["id"], call.actor
        row = await read.one(
            _Scopes,
            """SELECT roles.scopes FROM members JOIN roles ON roles.id = members.role_id
               JOIN teams ON teams.id = members.team_id
               WHERE members.team_id = $1 AND members.user_id = $2 AND teams.deleted_at IS NOT NULL""",
            team_id,
            actor.user_id,
        )
        if row is None:
            return cls(**vars(await team_access(read, actor, team_id, needs)))
        permissions = expand(actor.scopes) & expand(row.scopes)
        with refused_in(team_id):
            require(permissions, needs)
        return cls(actor=actor, team_id=team_id, permissions=permissions)


@dataclass(frozen=True, kw_only=True)
class NewTeamAccess:
    """Proof that the actor may make a team, which they will own."""

    actor: Actor
    user_id: str

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:  # noqa: ARG003
        """Whatever role they have elsewhere. Raises InsufficientScope, Forbidden."""
        require(expand(call.actor.scopes), needs)
        if call.actor.user_id is None:
            raise Forbidden("Only a user makes a team: they own it.", hint="Use a session or a personal token.")
        return cls(actor=call.actor, user_id=call.actor.user_id)


@dataclass(frozen=True, kw_only=True)
class MemberAccess(TeamAccess):
    """Proof that the actor may do this to the member of the path."""

    member: MemberView

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises NotFound, InsufficientScope, Forbidden."""
        access = await team_access(read, call.actor, call.path["id"], needs)
        return cls(**vars(access), member=await _member(read, call))


@dataclass(frozen=True, kw_only=True)
class LeavingAccess(MemberAccess):
    """The same, and for the member themselves: whatever their role, they may leave."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        actor, row = call.actor, await people.member(read, call.path["id"], call.path["memberId"])
        if row is None or row.user_id != actor.user_id:
            return await super().find(read, call, needs)
        require(expand(actor.scopes), needs)
        return cls(actor=actor, team_id=row.team_id, permissions=frozenset(), member=row)


@dataclass(frozen=True, kw_only=True)
class InvitationAccess(TeamAccess):
    """Proof that the actor may do this to the invitation of the path."""

    invitation: InvitationRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises NotFound, InsufficientScope, Forbidden."""
        access = await team_access(read, call.actor, call.path["id"], needs)
        row = await people.invitation(read, access.team_id, call.path["invitationId"])
        if row is None:
            raise NotFound
        return cls(**vars(access), invitation=row)


async def _member(read: Read, call: Call) -> MemberView:
    row = await people.member(read, call.path["id"], call.path["memberId"])
    if row is None:
        raise NotFound
    return row
