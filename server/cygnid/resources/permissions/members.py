"""What can happen to members: another role, and their leaving."""

from cygnid.core import changes, clock, etag
from cygnid.core.access import expand, held_in, refused_in, require_all, require_no_less
from cygnid.core.actors import Actor
from cygnid.core.db import Tx
from cygnid.core.errors import NotFound
from cygnid.resources.permissions import invitations, people
from cygnid.resources.permissions.grants import role_named
from cygnid.resources.permissions.people import MemberView
from cygnid.resources.permissions.schemas import BUILT_IN_ROLES, LastOwner, MemberEvent
from cygnid.resources.permissions.team_access import MemberAccess
from cygnid.resources.teams import queries as teams


async def change_role(
    tx: Tx, access: MemberAccess, role: str | None, *, if_match: int | None = None, request_id: str | None = None
) -> MemberView:
    """Their invitations that nobody has accepted end with the role that they were made by. Raises ValidationError,
    LastOwner, PreconditionFailed, InsufficientScope when the member has, or would have, what the caller lacks."""
    row = await _locked(tx, access)
    (shown,) = await people.shown_members(tx, row.team_id, [row], clock.now())
    etag.require(if_match, row.version, shown)
    wanted = None if role is None else await role_named(tx, row.team_id, role)
    await _require_no_less(tx, access, row)
    if wanted is not None:
        with refused_in(row.team_id):
            require_all(access.permissions, expand(wanted.scopes))
    role_id = None if wanted is None else wanted.id
    if role_id == row.role_id:
        return row
    await _require_another_owner(tx, row)
    await tx.execute(
        "UPDATE members SET role_id = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        row.id,
        role_id,
        clock.now(),
    )
    await invitations.revoke_of(tx, access.actor, row.team_id, row.user_id, request_id=request_id)
    await changes.record(
        tx,
        access.actor,
        MemberEvent.ROLE_CHANGED,
        _subject(row),
        before={"role": row.role_name},
        after={"role": None if wanted is None else wanted.name},
        request_id=request_id,
    )
    again = await people.member(tx, row.team_id, row.id)
    assert again is not None
    return again


async def remove(tx: Tx, access: MemberAccess, *, if_match: int | None = None, request_id: str | None = None) -> None:
    """Their own tokens and sessions act in the team no more, at once; tokens of the team that they made are the team's
    and stay, which the audit log names. Raises LastOwner, PreconditionFailed, InsufficientScope when the member has
    what the caller lacks; whoever leaves by themselves is not asked."""
    row = await _locked(tx, access)
    (shown,) = await people.shown_members(tx, row.team_id, [row], clock.now())
    etag.require(if_match, row.version, shown)
    if row.user_id != access.actor.user_id:
        await _require_no_less(tx, access, row)
    await _require_another_owner(tx, row)
    stay = await people.team_tokens_made_by(tx, row.team_id, row.user_id)
    await invitations.revoke_of(tx, access.actor, row.team_id, row.user_id, request_id=request_id)
    await tx.execute("DELETE FROM grants WHERE team_id = $1 AND user_id = $2", row.team_id, row.user_id)
    await tx.execute("DELETE FROM members WHERE id = $1", row.id)
    await changes.record(
        tx,
        access.actor,
        MemberEvent.REMOVED,
        _subject(row),
        before={
            "userId": row.user_id,
            "role": row.role_name,
            "projectRoles": [f"{one.role_name} on {one.project_id}" for one in shown.project_roles],
        },
        data={"teamTokensThatStay": stay},
        request_id=request_id,
    )


async def _locked(tx: Tx, access: MemberAccess) -> MemberView:
    """With the team: of two owners who leave at once, one is the last."""
    await teams.team_for_change(tx, access.team_id)
    row = await people.member(tx, access.team_id, access.member.id)
    if row is None:
        raise NotFound
    return row


async def _require_no_less(tx: Tx, access: MemberAccess, row: MemberView) -> None:
    theirs = await held_in(tx, _anybody(row.user_id), row.team_id)
    with refused_in(row.team_id):
        require_no_less(await held_in(tx, access.actor, row.team_id), theirs)


async def _require_another_owner(tx: Tx, row: MemberView) -> None:
    owner = BUILT_IN_ROLES["owner"]
    if row.role_id == owner and await people.owners(tx, row.team_id, owner) == 1:
        raise LastOwner


def _anybody(user_id: str) -> Actor:
    """A user by a token that narrows nothing."""
    return Actor(type="user", id=user_id, name="", user_id=user_id, scopes=frozenset(["*"]))


def _subject(row: MemberView) -> changes.Subject:
    return changes.Subject(type="member", id=row.id, name=row.name, team_id=row.team_id)
