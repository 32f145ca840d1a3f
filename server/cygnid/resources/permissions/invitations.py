"""What can happen to invitations: a link that makes one person a member, once, within a week."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

from cygnid.core import changes, clock, outbox
from cygnid.core.access import TeamAccess, expand, held_in, refused_in, require_all
from cygnid.core.actors import Actor
from cygnid.core.db import Read, Tx
from cygnid.core.errors import Forbidden, ValidationError
from cygnid.core.http import Services
from cygnid.core.ids import new_id
from cygnid.core.outbox import Letter
from cygnid.resources.permissions import grants, people, queries
from cygnid.resources.permissions.access import NewGrantAccess
from cygnid.resources.permissions.people import InvitationRow
from cygnid.resources.permissions.schemas import (
    AlreadyInvited,
    AlreadyMember,
    InvitationGone,
    InvitationInput,
    MemberEvent,
)
from cygnid.resources.permissions.team_access import InvitationAccess
from cygnid.resources.projects import queries as projects
from cygnid.resources.teams import queries as teams
from cygnid.resources.teams.queries import TeamRow
from cygnid.resources.users.queries import UserRow
from cygnid.settings import Settings

GOOD_FOR = timedelta(days=7)


async def invite(
    tx: Tx, services: Services, access: TeamAccess, new: InvitationInput, *, request_id: str | None = None
) -> tuple[InvitationRow, str | None]:
    """The invitation, and its link unless it is mailed. Raises ValidationError, AlreadyMember, AlreadyInvited,
    InsufficientScope when it would give what the caller lacks."""
    team = await teams.team_for_change(tx, access.team_id)
    assert team is not None
    email, now = new.email.lower(), clock.now()
    role = await grants.role_named(tx, team.id, new.role)
    project_ids = await _projects(tx, team, new.project_ids)
    held = await held_in(tx, access.actor, team.id)
    for project_id in project_ids or [None]:
        with refused_in(team.id, project_id):
            require_all(held.on(project_id), expand(role.scopes))
    if not _is_allowed(team, email):
        allowed = ", ".join(team.allowed_email_domains)
        raise ValidationError.one("email", f"The team takes addresses of {allowed} only.", code="not_allowed")
    if await people.member_of_email(tx, team.id, email):
        raise AlreadyMember
    if await people.is_invited(tx, team.id, email, now):
        raise AlreadyInvited
    invitation_id, secret = new_id("inv"), secrets.token_urlsafe(32)
    await tx.execute(
        """INSERT INTO invitations (id, team_id, email, role_id, project_ids, secret_hash, expires_at, created_at,
               updated_at, created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)""",
        invitation_id,
        team.id,
        email,
        role.id,
        project_ids,
        _digest(secret),
        now + GOOD_FOR,
        now,
        access.actor.created_by,
    )
    await changes.record(
        tx,
        access.actor,
        MemberEvent.INVITED,
        changes.Subject(type="invitation", id=invitation_id, name=email, team_id=team.id),
        after={"email": email, "role": role.name, "projectIds": project_ids},
        request_id=request_id,
    )
    row = await people.invitation(tx, team.id, invitation_id)
    assert row is not None
    link = _link(services.settings, secret)
    if not services.settings.smtp_url:
        return row, link
    await outbox.post(tx, services.secrets, _letter(access.actor, team, row, link), good_for=GOOD_FOR)
    return row, None


async def revoke(tx: Tx, access: InvitationAccess, *, request_id: str | None = None) -> None:
    """Again, and of one that has ended, is the same."""
    await _revoke(tx, access.actor, access.invitation, request_id=request_id)


async def revoke_of(tx: Tx, actor: Actor, team_id: str, created_by: str, *, request_id: str | None) -> None:
    """What somebody offered who may not any more."""
    for row in await people.pending_of(tx, team_id, created_by, clock.now()):
        await _revoke(tx, actor, row, request_id=request_id)


async def good(read: Read, secret: str) -> InvitationRow:
    """The invitation that this secret is of. Raises InvitationGone: unknown, accepted, taken back and too old ones are
    not told apart."""
    row = await people.invitation_of_secret(read, _digest(secret))
    if row is None or row.status(clock.now()) != "pending":
        raise InvitationGone
    return row


async def accept(tx: Tx, actor: Actor, user: UserRow, secret: str, *, request_id: str | None = None) -> str:
    """The new member's id. The link is for one address: whoever else has it gains nothing by it. Raises
    InvitationGone, Forbidden for another address or a domain that the team does not take, AlreadyMember."""
    row = await good(tx, secret)
    team = await teams.team_for_change(tx, row.team_id)
    if team is None or (user.email or "").lower() != row.email:
        raise Forbidden(
            "This invitation is for another e-mail address.",
            hint="Sign in as the user of that address, or ask for an invitation of yours.",
        )
    if not _is_allowed(team, row.email):
        raise Forbidden("The team does not take addresses of this domain.", hint="Ask an owner or admin of the team.")
    now, member_id = clock.now(), new_id("mem")
    taken = await tx.execute(
        """UPDATE invitations SET accepted_at = $2, updated_at = $2
           WHERE id = $1 AND accepted_at IS NULL AND revoked_at IS NULL""",
        row.id,
        now,
    )
    if not taken:
        raise InvitationGone
    async with tx.unique(members_team_id_user_id_key=AlreadyMember()):
        await tx.execute(
            """INSERT INTO members (id, team_id, user_id, role_id, created_at, updated_at, created_by)
               VALUES ($1, $2, $3, $4, $5, $5, $6)""",
            member_id,
            row.team_id,
            user.id,
            None if row.project_ids else row.role_id,
            now,
            row.created_by,
        )
    await changes.record(
        tx,
        actor,
        MemberEvent.JOINED,
        changes.Subject(type="member", id=member_id, name=user.name, team_id=row.team_id),
        after={"userId": user.id, "role": row.role_name, "projectIds": row.project_ids},
        data={"invitationId": row.id},
        request_id=request_id,
    )
    await _grant(tx, actor, user, row, request_id=request_id)
    return member_id


async def _grant(tx: Tx, actor: Actor, user: UserRow, row: InvitationRow, *, request_id: str | None) -> None:
    """The role on each of the projects, as far as they are still the team's. Whoever invited was asked for it."""
    role = await queries.role(tx, row.role_id)
    assert role is not None
    for project_id in row.project_ids:
        project = await projects.project(tx, project_id)
        if project is not None and project.team_id == row.team_id:
            access = NewGrantAccess(
                actor=actor, team_id=row.team_id, permissions=frozenset(), project=project, environment=None
            )
            await grants.store(tx, access, role, user_id=user.id, request_id=request_id)


async def _revoke(tx: Tx, actor: Actor, row: InvitationRow, *, request_id: str | None) -> None:
    now = clock.now()
    revoked = await tx.execute(
        """UPDATE invitations SET revoked_at = $2, updated_at = $2
           WHERE id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2""",
        row.id,
        now,
    )
    if revoked:
        subject = changes.Subject(type="invitation", id=row.id, name=row.email, team_id=row.team_id)
        await changes.record(
            tx, actor, MemberEvent.INVITATION_REVOKED, subject, before={"email": row.email}, request_id=request_id
        )


async def _projects(read: Read, team: TeamRow, references: Sequence[str]) -> list[str]:
    found: list[str] = []
    for index, reference in enumerate(references):
        project = await projects.project(read, reference)
        if project is None or project.team_id != team.id or project.deleted_at is not None:
            raise ValidationError.one(f"projectIds[{index}]", "The team has no such project.", code="not_allowed")
        found.append(project.id)
    return sorted(set(found))


def _is_allowed(team: TeamRow, email: str) -> bool:
    return not team.allowed_email_domains or email.rpartition("@")[2] in team.allowed_email_domains


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _link(settings: Settings, secret: str) -> str:
    """The secret is in the fragment, which no browser sends and no server logs."""
    place = settings.dashboard_url or settings.api_url.removesuffix("/v1")
    return f"{place.rstrip('/')}/invitation#{secret}"


def _letter(actor: Actor, team: TeamRow, row: InvitationRow, link: str) -> Letter:
    return Letter(
        to=row.email,
        subject=f"Cygni: the team {team.name} invites you",
        text=f"{actor.name} invites you to the team {team.name} as {row.role_name}.\n\n{link}\n\n"
        f"On the command line, once you are signed in:\n\n    cygni invite accept '{link}'\n\n"
        f"This works once, until {clock.text(row.expires_at)}.\n",
    )
