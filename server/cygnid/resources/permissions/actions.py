"""What can happen to roles, and who owns a new team."""

from collections.abc import Sequence

from msgspec import UNSET

from cygnid.core import changes, clock, etag
from cygnid.core.access import Permission, TeamAccess, expand, refused_in, require_all
from cygnid.core.actors import Actor
from cygnid.core.db import Tx
from cygnid.core.errors import NotFound, ValidationError
from cygnid.core.ids import new_id
from cygnid.resources.permissions import queries
from cygnid.resources.permissions.access import RoleAccess
from cygnid.resources.permissions.queries import RoleRow
from cygnid.resources.permissions.schemas import (
    BUILT_IN_ROLES,
    AlreadyMember,
    MemberEvent,
    RoleEvent,
    RoleInput,
    RoleInUse,
    RoleNameTaken,
    RolePatch,
)


async def add_owner(tx: Tx, actor: Actor, *, team_id: str, user_id: str, request_id: str | None = None) -> str:
    """The membership of a new team's first owner; its id. For whoever creates the team, in the same transaction:
    no permission is asked, since nobody could have one yet. Raises AlreadyMember."""
    member_id = new_id("mem")
    async with tx.unique(members_team_id_user_id_key=AlreadyMember()):
        await tx.execute(
            """INSERT INTO members (id, team_id, user_id, role_id, created_at, updated_at, created_by)
               VALUES ($1, $2, $3, $4, $5, $5, $6)""",
            member_id,
            team_id,
            user_id,
            BUILT_IN_ROLES["owner"],
            clock.now(),
            actor.created_by,
        )
    name = await tx.value("SELECT name FROM users WHERE id = $1", user_id)
    await changes.record(
        tx,
        actor,
        MemberEvent.JOINED,
        changes.Subject(type="member", id=member_id, name=name, team_id=team_id),
        after={"userId": user_id, "role": "owner"},
        request_id=request_id,
    )
    return member_id


async def create_role(tx: Tx, access: TeamAccess, new: RoleInput, *, request_id: str | None = None) -> RoleRow:
    """A role of the team's own. Raises ValidationError, RoleNameTaken, InsufficientScope when it would have what its
    maker lacks."""
    _check(new.name, new.scopes)
    with refused_in(access.team_id):
        require_all(access.permissions, expand(new.scopes))
    role_id, now = new_id("role"), clock.now()
    async with tx.unique(roles_team_id_name_key=RoleNameTaken()):
        await tx.execute(
            """INSERT INTO roles (id, team_id, name, description, scopes, created_at, updated_at, created_by)
               VALUES ($1, $2, $3, $4, $5, $6, $6, $7)""",
            role_id,
            access.team_id,
            new.name,
            new.description,
            new.scopes,
            now,
            access.actor.created_by,
        )
    row = await _again(tx, role_id)
    await changes.record(
        tx,
        access.actor,
        RoleEvent.CREATED,
        _subject(row),
        after={"name": row.name, "scopes": row.scopes},
        request_id=request_id,
    )
    return row


async def update_role(
    tx: Tx, access: RoleAccess, patch: RolePatch, *, if_match: int | None, request_id: str | None = None
) -> RoleRow:
    """Whoever has the role has what it says from now on. Raises ValidationError, RoleNameTaken, PreconditionFailed,
    InsufficientScope when it has, or would have, what the caller lacks."""
    row = await _matched(tx, access, if_match)
    name = row.name if patch.name is UNSET else patch.name
    scopes = row.scopes if patch.scopes is UNSET else patch.scopes
    description = row.description if patch.description is UNSET else patch.description
    _check(name, scopes)
    with refused_in(access.team_id):
        require_all(access.permissions, expand(row.scopes) | expand(scopes))
    was = {"name": row.name, "scopes": row.scopes, "description": row.description}
    now_is = {"name": name, "scopes": scopes, "description": description}
    changed = [key for key in was if was[key] != now_is[key]]
    if not changed:
        return row
    async with tx.unique(roles_team_id_name_key=RoleNameTaken()):
        await tx.execute(
            """UPDATE roles SET name = $2, scopes = $3, description = $4, updated_at = $5, version = version + 1
               WHERE id = $1""",
            row.id,
            name,
            scopes,
            description,
            clock.now(),
        )
    row = await _again(tx, row.id)
    await changes.record(
        tx,
        access.actor,
        RoleEvent.UPDATED,
        _subject(row),
        before={key: was[key] for key in changed},
        after={key: now_is[key] for key in changed},
        request_id=request_id,
    )
    return row


async def delete_role(
    tx: Tx, access: RoleAccess, *, if_match: int | None = None, request_id: str | None = None
) -> None:
    """Raises RoleInUse, PreconditionFailed, InsufficientScope for one that has what the caller lacks."""
    row = await _matched(tx, access, if_match)
    with refused_in(access.team_id):
        require_all(access.permissions, expand(row.scopes))
    now = clock.now()
    await tx.execute("DELETE FROM grants WHERE role_id = $1 AND expires_at <= $2", row.id, now)
    await tx.execute(
        """DELETE FROM invitations WHERE role_id = $1
               AND (accepted_at IS NOT NULL OR revoked_at IS NOT NULL OR expires_at <= $2)""",
        row.id,
        now,
    )
    in_use = dict.fromkeys(("members_role_id_fkey", "grants_role_id_fkey", "invitations_role_id_fkey"), RoleInUse())
    async with tx.unique(**in_use):
        await tx.execute("DELETE FROM roles WHERE id = $1", row.id)
    await changes.record(
        tx,
        access.actor,
        RoleEvent.DELETED,
        _subject(row),
        before={"name": row.name, "scopes": row.scopes},
        request_id=request_id,
    )


def _check(name: str, scopes: Sequence[str]) -> None:
    if name in BUILT_IN_ROLES:
        raise RoleNameTaken
    for index, scope in enumerate(scopes):
        if not expand([scope]) or scope == Permission.INSTANCE_ADMIN:
            reason = f"There is no permission {scope} that a role may have."
            raise ValidationError.one(f"scopes[{index}]", reason, code="not_allowed")


def _subject(row: RoleRow) -> changes.Subject:
    return changes.Subject(type="role", id=row.id, name=row.name, team_id=row.team_id)


async def _matched(tx: Tx, access: RoleAccess, if_match: int | None) -> RoleRow:
    row = await queries.role_for_change(tx, access.role.id)
    if row is None:
        raise NotFound
    etag.require(if_match, row.version, queries.shown_role(row))
    return row


async def _again(tx: Tx, role_id: str) -> RoleRow:
    row = await queries.role(tx, role_id)
    assert row is not None
    return row
