"""What can happen to grants: a role on one project, for one member or token, for as long as it is needed."""

from datetime import datetime

from cygnid.core import changes, clock
from cygnid.core.access import expand, refused_in, require_all
from cygnid.core.actors import SYSTEM
from cygnid.core.db import Tx
from cygnid.core.errors import ValidationError
from cygnid.core.ids import new_id
from cygnid.resources.permissions import queries
from cygnid.resources.permissions.access import GrantAccess, NewGrantAccess
from cygnid.resources.permissions.queries import GrantRow, RoleRow
from cygnid.resources.permissions.schemas import GrantEvent, GrantInput


async def create_grant(tx: Tx, access: NewGrantAccess, new: GrantInput, *, request_id: str | None = None) -> GrantRow:
    """Raises ValidationError for a role, member or token that the project's team does not have, InsufficientScope when
    it would give there what its maker lacks."""
    if (new.user_id is None) == (new.token_id is None):
        raise ValidationError.one("userId", "Name a user or a token: exactly one of userId and tokenId.")
    if new.expires_at is not None and new.expires_at <= clock.now():
        raise ValidationError.one("expiresAt", "Must be in the future.")
    role = await role_named(tx, access.team_id, new.role)
    with refused_in(access.team_id, access.project.id, access.environment):
        require_all(access.permissions, expand(role.scopes))
    if new.user_id is not None and not await queries.is_member(tx, access.team_id, new.user_id):
        raise ValidationError.one("userId", "Is no member of the project's team.", code="not_allowed")
    if new.token_id is not None and not await queries.is_granted_to(
        tx,
        token_id=new.token_id,
        team_id=access.team_id,
        project_id=access.project.id,
        environment=access.environment,
    ):
        raise ValidationError.one("tokenId", "Is no token of the project's team that reaches this.", code="not_allowed")
    grant_id = await store(
        tx,
        access,
        role,
        user_id=new.user_id,
        token_id=new.token_id,
        expires_at=new.expires_at,
        request_id=request_id,
    )
    row = await queries.grant(tx, grant_id, clock.now())
    assert row is not None
    return row


async def store(
    tx: Tx,
    access: NewGrantAccess,
    role: RoleRow,
    *,
    user_id: str | None,
    token_id: str | None = None,
    expires_at: datetime | None = None,
    request_id: str | None = None,
) -> str:
    """The grant's id. Whether its maker may give the role there has been asked."""
    grant_id, now = new_id("grant"), clock.now()
    await tx.execute(
        """INSERT INTO grants (id, team_id, user_id, token_id, role_id, project_id, environment, expires_at,
               created_at, created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
        grant_id,
        access.team_id,
        user_id,
        token_id,
        role.id,
        access.project.id,
        access.environment,
        expires_at,
        now,
        access.actor.created_by,
    )
    after = {
        "userId": user_id,
        "tokenId": token_id,
        "role": role.name,
        "expiresAt": expires_at and clock.text(expires_at),
    }
    subject = changes.Subject(
        type="grant",
        id=grant_id,
        name=role.name,
        team_id=access.team_id,
        project_id=access.project.id,
        environment=access.environment,
    )
    await changes.record(tx, access.actor, GrantEvent.CREATED, subject, after=after, request_id=request_id)
    return grant_id


async def delete_grant(tx: Tx, access: GrantAccess, *, request_id: str | None = None) -> None:
    """Raises InsufficientScope for a role that has what the caller lacks there."""
    row = access.grant
    with refused_in(row.team_id, row.project_id, row.environment):
        require_all(access.permissions, expand(row.scopes))
    if await tx.execute("DELETE FROM grants WHERE id = $1", row.id):
        await changes.record(
            tx, access.actor, GrantEvent.DELETED, _subject(row), before=_said(row), request_id=request_id
        )


async def remove_expired(tx: Tx) -> int:
    """Forget what does not hold any more, and say so. Returns how many there were."""
    rows = await queries.expired_grants(tx, clock.now())
    for row in rows:
        await tx.execute("DELETE FROM grants WHERE id = $1", row.id)
        await changes.record(tx, SYSTEM, GrantEvent.EXPIRED, _subject(row), before=_said(row))
    return len(rows)


async def role_named(tx: Tx, team_id: str, reference: str) -> RoleRow:
    """A built-in role or one of the team's, by id or name. Raises ValidationError."""
    role = await queries.role_of_team(tx, team_id, reference)
    if role is None:
        allowed = [row.name for row in await queries.roles(tx, team_id)]
        raise ValidationError.one("role", "The team has no such role.", code="not_allowed", allowed=allowed)
    return role


def _said(row: GrantRow) -> dict[str, str | None]:
    return {
        "userId": row.user_id,
        "tokenId": row.token_id,
        "role": row.role_name,
        "expiresAt": row.expires_at and clock.text(row.expires_at),
    }


def _subject(row: GrantRow) -> changes.Subject:
    return changes.Subject(
        type="grant",
        id=row.id,
        name=row.role_name,
        team_id=row.team_id,
        project_id=row.project_id,
        environment=row.environment,
    )
