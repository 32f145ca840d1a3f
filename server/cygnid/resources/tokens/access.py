"""Which token, and whether its caller may see or change it: nobody changes a token that has more than they have."""

from dataclasses import dataclass
from typing import Self

from cygnid.core.access import (
    Permission,
    expand,
    held_by_team,
    permissions_by_team,
    refused_in,
    require,
    require_all,
    require_no_less,
    team_access,
)
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import InsufficientScope, NotFound
from cygnid.core.http import Call
from cygnid.resources.tokens import queries
from cygnid.resources.tokens.queries import TokenRow, Visible


@dataclass(frozen=True, kw_only=True)
class TokenAccess:
    """Proof that the actor may do this to the token of the path."""

    actor: Actor
    token: TokenRow

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises NotFound, InsufficientScope."""
        if needs == Permission.TOKENS_READ:
            return cls(actor=call.actor, token=await _readable(read, call.actor, call.path["id"]))
        return cls(actor=call.actor, token=await changeable(read, call.actor, call.path["id"]))


@dataclass(frozen=True, kw_only=True)
class TokensAccess:
    """Proof that the actor may see, or make, tokens somewhere; which of them is said here for a list."""

    actor: Actor
    visible: Visible

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Self:
        """Raises InsufficientScope."""
        return cls(actor=call.actor, visible=await _visible(read, call.actor, needs))


async def _visible(read: Read, actor: Actor, needs: Permission) -> Visible:
    """A user's own tokens need the scope of the caller's token alone, whatever the role."""
    by_team = await permissions_by_team(read, actor)
    teams = [team for team, permissions in by_team.items() if needs in permissions]
    is_own = actor.user_id is not None and needs in expand(actor.scopes)
    if not teams and not is_own:
        require(expand(actor.scopes).union(*by_team.values()) - {needs}, needs)
    return Visible(
        team_ids=teams,
        managed_team_ids=[team for team in teams if Permission.TOKENS_WRITE in by_team[team]],
        user_id=actor.user_id if is_own else None,
        project_id=actor.project_id,
        environment=actor.environment,
    )


async def _readable(read: Read, actor: Actor, token_id: str) -> TokenRow:
    visible = await _visible(read, actor, Permission.TOKENS_READ)
    if (row := await queries.visible_token(read, visible, token_id)) is not None:
        return row
    hidden = await queries.token(read, token_id)
    if hidden is not None and hidden.team_id is not None and actor.reaches(hidden.project_id, hidden.environment):
        await team_access(
            read,
            actor,
            hidden.team_id,
            Permission.TOKENS_READ,
            project_id=hidden.project_id,
            environment=hidden.environment,
        )
    raise NotFound


async def changeable(read: Read, actor: Actor, token_id: str) -> TokenRow:
    """The token, locked, when the actor may end it: nobody changes a token that has more than they have."""
    row = await queries.token_for_change(read, token_id)
    if row is None:
        raise NotFound
    if row.team_id is not None:
        if not actor.reaches(row.project_id, row.environment):
            raise NotFound
        access = await team_access(
            read, actor, row.team_id, Permission.TOKENS_WRITE, project_id=row.project_id, environment=row.environment
        )
        with refused_in(row.team_id, row.project_id, row.environment):
            require_all(access.permissions, expand(row.scopes))
    elif row.user_id == actor.user_id:
        require(expand(actor.scopes), Permission.TOKENS_WRITE)
        # judged by the token's own scopes: a user who lost a role can still end what was made before
        require_all(expand(actor.scopes), expand(row.scopes))
    else:
        await _check_colleague(read, actor, row)
    return row


async def _check_colleague(read: Read, actor: Actor, row: TokenRow) -> None:
    """Somebody else's token may be revoked where both are in a team, by who has there what the token has there."""
    assert row.user_id is not None
    theirs = await held_by_team(
        read, Actor(type="user", id=row.user_id, name="", user_id=row.user_id, scopes=frozenset(row.scopes))
    )
    mine = await held_by_team(read, actor)
    shared = [team for team in mine if team in theirs and row.kind == "personal" and actor.kind != "deploy"]
    if not shared:
        raise NotFound
    managed = [team for team in shared if Permission.TOKENS_WRITE in mine[team].on()]
    if not managed:
        with refused_in(shared[0]):
            require(frozenset[Permission]().union(*(mine[team].on() for team in shared)), Permission.TOKENS_WRITE)
    refusals: list[InsufficientScope] = []
    for team in managed:
        try:
            with refused_in(team):
                require_no_less(mine[team], theirs[team])
        except InsufficientScope as refused:
            refusals.append(refused)
        else:
            return
    raise refusals[0]


async def own_permissions(read: Read, actor: Actor) -> frozenset[Permission]:
    """What a user's own tokens can hold: what the caller can do in any part of a team, and the installation if they run
    it."""
    by_team = await held_by_team(read, actor)
    admin = frozenset({Permission.INSTANCE_ADMIN}) if actor.is_instance_admin else frozenset[Permission]()
    return admin.union(*(held.anywhere for held in by_team.values()))
