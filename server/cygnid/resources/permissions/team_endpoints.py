"""Routes of teams, their members and invitations."""

import msgspec

from cygnid.core import clock
from cygnid.core.access import Permission
from cygnid.core.actors import Actor
from cygnid.core.db import Read, Tx
from cygnid.core.errors import Gone, NameTaken, NotFound, PreconditionFailed, SecretNotReplayable, ValidationError
from cygnid.core.http import Answer, Call, operation
from cygnid.core.schemas import Page
from cygnid.resources.permissions import invitations, members, people, teams
from cygnid.resources.permissions.people import MemberView
from cygnid.resources.permissions.schemas import (
    AlreadyInvited,
    AlreadyMember,
    Invitation,
    InvitationGone,
    InvitationInput,
    InvitationPreview,
    InvitationsQuery,
    InvitationToken,
    InvitationWithUrl,
    LastOwner,
    Member,
    MemberPatch,
    MembersQuery,
)
from cygnid.resources.permissions.team_access import (
    DeletedTeamOfPath,
    InvitationAccess,
    LeavingAccess,
    MemberAccess,
    NewTeamAccess,
    TeamOfPath,
)
from cygnid.resources.projects.schemas import ConfirmQuery
from cygnid.resources.teams import actions, queries
from cygnid.resources.teams.access import ListedTeams
from cygnid.resources.teams.schemas import Team, TeamInput, TeamPatch, TeamsQuery
from cygnid.resources.users.queries import user

_TEAM, _MEMBERS, _INVITATIONS = "/v1/teams/{id}", "/v1/teams/{id}/members", "/v1/teams/{id}/invitations"
_MEMBER, _INVITATION = "/v1/teams/{id}/members/{memberId}", "/v1/teams/{id}/invitations/{invitationId}"


@operation("GET", "/v1/teams", id="teams.list", needs=Permission.TEAMS_READ)
async def list_teams(read: Read, teams: ListedTeams, query: TeamsQuery) -> Page[Team]:
    """List your teams."""
    return await queries.listed_teams(read, teams.team_ids, query)


@operation(
    "POST",
    "/v1/teams",
    id="teams.create",
    needs=Permission.TEAMS_WRITE,
    status=201,
    answers=Team,
    errors=[NameTaken],
    example={"name": "Acme", "slug": "acme-inc"},
)
async def create_team(tx: Tx, call: Call, access: NewTeamAccess, data: TeamInput) -> Answer:
    """Create a team, which you own."""
    plan = call.services.settings.default_plan
    team_id = await teams.create(tx, access, data, plan, request_id=call.request_id)
    return await _team_answer(tx, team_id, location=f"/v1/teams/{team_id}")


@operation("GET", _TEAM, id="teams.get", needs=Permission.TEAMS_READ, answers=Team)
async def get_team(read: Read, access: TeamOfPath) -> Answer:
    """Get a team."""
    return await _team_answer(read, access.team_id)


@operation(
    "PATCH",
    _TEAM,
    id="teams.update",
    needs=Permission.TEAMS_WRITE,
    answers=Team,
    errors=[PreconditionFailed],
    example={"allowedEmailDomains": ["example.com"], "maxTokenAgeDays": 90},
)
async def update_team(tx: Tx, call: Call, access: TeamOfPath, data: TeamPatch) -> Answer:
    """Change a team's name, and what it asks of members and tokens."""
    await actions.update_team(tx, access, data, if_match=call.if_match, request_id=call.request_id)
    return await _team_answer(tx, access.team_id)


@operation(
    "DELETE",
    _TEAM,
    id="teams.delete",
    needs=Permission.TEAMS_DELETE,
    status=202,
    answers=Team,
    errors=[PreconditionFailed],
)
async def delete_team(tx: Tx, call: Call, access: DeletedTeamOfPath, query: ConfirmQuery) -> Answer:
    """Delete a team with its projects; it can be restored for seven days."""
    row = await queries.view(tx, access.team_id)
    if query.confirm != row.name:
        raise ValidationError.one("confirm", f"Must be the name, {row.name}", code="required")
    await teams.delete(tx, access, if_match=call.if_match, request_id=call.request_id)
    return await _team_answer(tx, access.team_id)


@operation(
    "POST",
    "/v1/teams/{id}/restore",
    id="teams.restore",
    needs=Permission.TEAMS_DELETE,
    answers=Team,
    errors=[Gone],
)
async def restore_team(tx: Tx, call: Call, access: DeletedTeamOfPath) -> Answer:
    """Undo the deletion of a team, and of the projects deleted with it."""
    await teams.restore(tx, access, request_id=call.request_id)
    return await _team_answer(tx, access.team_id)


@operation("GET", _MEMBERS, id="members.list", needs=Permission.MEMBERS_READ)
async def list_members(read: Read, access: TeamOfPath, query: MembersQuery) -> Page[Member]:
    """List the members of a team."""
    return await people.listed_members(read, access.team_id, query, clock.now())


@operation("GET", _MEMBER, id="members.get", needs=Permission.MEMBERS_READ, answers=Member)
async def get_member(read: Read, access: MemberAccess) -> Answer:
    """Get a member of a team."""
    return await _member_answer(read, access.member)


@operation(
    "PATCH",
    _MEMBER,
    id="members.update",
    needs=Permission.MEMBERS_WRITE,
    answers=Member,
    errors=[LastOwner, PreconditionFailed],
    example={"role": "developer"},
)
async def update_member(tx: Tx, call: Call, access: MemberAccess, data: MemberPatch) -> Answer:
    """Give a member another role, at once."""
    return await _member_answer(
        tx,
        await members.change_role(tx, access, data.role, if_match=call.if_match, request_id=call.request_id),
    )


@operation(
    "DELETE",
    _MEMBER,
    id="members.delete",
    needs=Permission.MEMBERS_WRITE,
    status=204,
    errors=[LastOwner, PreconditionFailed],
)
async def delete_member(tx: Tx, call: Call, access: LeavingAccess) -> None:
    """Remove a member from a team, or leave it yourself."""
    await members.remove(tx, access, if_match=call.if_match, request_id=call.request_id)


@operation("GET", _INVITATIONS, id="invitations.list", needs=Permission.MEMBERS_READ)
async def list_invitations(read: Read, access: TeamOfPath, query: InvitationsQuery) -> Page[Invitation]:
    """List the invitations to a team."""
    return await people.listed_invitations(read, access.team_id, query, clock.now())


@operation(
    "POST",
    _INVITATIONS,
    id="invitations.create",
    needs=Permission.MEMBERS_WRITE,
    status=201,
    answers=InvitationWithUrl,
    errors=[AlreadyMember, AlreadyInvited, SecretNotReplayable],
    example={"email": "grace@example.com", "role": "developer"},
)
async def create_invitation(tx: Tx, call: Call, access: TeamOfPath, data: InvitationInput) -> Answer:
    """Invite somebody to a team, or to some of its projects; the link works once, for seven days."""
    row, url = await invitations.invite(tx, call.services, access, data, request_id=call.request_id)
    shown = people.shown_invitation(row, clock.now())
    return Answer(
        data=InvitationWithUrl(**msgspec.structs.asdict(shown), accept_url=url),
        version=1,
        location=f"/v1/teams/{row.team_id}/invitations/{row.id}",
        has_secret=url is not None,
    )


@operation("GET", _INVITATION, id="invitations.get", needs=Permission.MEMBERS_READ, answers=Invitation)
async def get_invitation(access: InvitationAccess) -> Answer:
    """Get an invitation, without its link."""
    return Answer(data=people.shown_invitation(access.invitation, clock.now()), version=1)


@operation("DELETE", _INVITATION, id="invitations.delete", needs=Permission.MEMBERS_WRITE, status=204)
async def delete_invitation(tx: Tx, call: Call, access: InvitationAccess) -> None:
    """Take an invitation back; it stays visible as revoked."""
    await invitations.revoke(tx, access, request_id=call.request_id)


@operation(
    "POST",
    "/v1/invitations/lookup",
    id="invitations.lookup",
    needs="public",
    replayable=False,
    errors=[InvitationGone],
    example={"invitationToken": "Zt4m0Q1cTnJx7v2rW8yKp3sHd6uEa9fBg5oLi1kNq0M"},
)
async def look_up_invitation(tx: Tx, data: InvitationToken) -> InvitationPreview:
    """See what an invitation is to, before signing in."""
    row = await invitations.good(tx, data.invitation_token)
    team = await queries.team(tx, row.team_id)
    assert team is not None
    return InvitationPreview(
        team_name=team.name,
        email=row.email,
        role_name=row.role_name,
        expires_at=row.expires_at,
        has_account=await people.has_account(tx, row.email),
    )


@operation(
    "POST",
    "/v1/invitations/accept",
    id="invitations.accept",
    needs="session",
    answers=Member,
    errors=[InvitationGone, AlreadyMember],
    example={"invitationToken": "Zt4m0Q1cTnJx7v2rW8yKp3sHd6uEa9fBg5oLi1kNq0M"},
)
async def accept_invitation(tx: Tx, call: Call, actor: Actor, data: InvitationToken) -> Answer:
    """Become a member of the team that invited your address."""
    who = await user(tx, actor.user_id or "")
    if who is None:
        raise NotFound
    team_id = (await invitations.good(tx, data.invitation_token)).team_id
    member_id = await invitations.accept(tx, actor, who, data.invitation_token, request_id=call.request_id)
    row = await people.member(tx, team_id, member_id)
    assert row is not None
    return await _member_answer(tx, row)


async def _team_answer(read: Read, team_id: str, *, location: str | None = None) -> Answer:
    row = await queries.view(read, team_id)
    return Answer(data=queries.shown(row), version=row.version, location=location)


async def _member_answer(read: Read, row: MemberView) -> Answer:
    (shown,) = await people.shown_members(read, row.team_id, [row], clock.now())
    return Answer(data=shown, version=row.version)
