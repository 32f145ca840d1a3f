"""What is said of permissions, roles, grants and members."""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from cygnid.core.errors import Conflict, Gone, InUse, NameTaken
from cygnid.core.filters import CreatedQuery, Search, TimeQuery
from cygnid.core.paging import PageQuery
from cygnid.core.schemas import In, Out, Timestamp


class MemberEvent(StrEnum):
    INVITED = "member.invited"
    INVITATION_REVOKED = "member.invitation_revoked"
    JOINED = "member.joined"
    REMOVED = "member.removed"
    ROLE_CHANGED = "member.role_changed"


class RoleEvent(StrEnum):
    CREATED = "role.created"
    UPDATED = "role.updated"
    DELETED = "role.deleted"


class GrantEvent(StrEnum):
    CREATED = "grant.created"
    DELETED = "grant.deleted"
    EXPIRED = "grant.expired"


class AlreadyMember(Conflict):
    """This user is a member of the team already."""

    hint = "Change the member's role instead."


class AlreadyInvited(Conflict):
    """This address has an invitation that can still be accepted."""

    hint = "Delete that one first: its link is shown only once."


class LastOwner(Conflict):
    """A team keeps at least one owner."""

    code = "last_owner"
    hint = "Make somebody else an owner first, or delete the team."


class InvitationGone(Gone):
    """This invitation was accepted or taken back, or its time is over."""

    hint = "Ask whoever invited you for another one."


class RoleNameTaken(NameTaken):
    """The team has a role of this name, or it is that of a built-in role."""


class RoleInUse(InUse):
    """A member, a grant or an invitation has this role."""

    hint = "Give its members another role, and delete its grants and invitations, first."


BUILT_IN_ROLES: dict[str, str] = {
    name: f"role_{number:026d}"
    for number, name in enumerate(
        ("owner", "admin", "viewer", "developer", "deployer", "operator", "billing", "auditor"), start=1
    )
}
"""The ids of the built-in roles, the same in every installation. A migration stores them."""

RoleName = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
"""Without an underscore: an id has one, and a role is named by either."""
Scopes = Annotated[list[str], Meta(min_length=1, max_length=100)]
Description = Annotated[str, Meta(max_length=500)]
Reference = Annotated[str, Meta(min_length=1, max_length=64)]
Email = Annotated[str, Meta(pattern=r"^[^\s@\"(),:;<>\[\\\]]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$", max_length=254)]
Scope = Annotated[str, Meta(min_length=1, max_length=64)]


class PermissionInfo(Out, frozen=True, kw_only=True):
    name: str
    description: str
    resource: str
    action: str
    dangerous: bool
    """Whoever has it can come to have more, or to see secrets: few built-in roles have it."""


class RolesQuery(TimeQuery, frozen=True, kw_only=True):
    team_id: str | None = None


class RoleInput(In, frozen=True, kw_only=True):
    name: RoleName
    scopes: Scopes
    """Permissions, `noun:*`, or `*`: no more than you have yourself."""
    description: Description | None = None
    team_id: str | None = None


class RolePatch(In, frozen=True, kw_only=True):
    name: RoleName | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET


class Role(Out, frozen=True, kw_only=True):
    id: str
    team_id: str | None
    """null: built in."""
    name: str
    description: str | None
    built_in: bool
    scopes: list[str]
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str


class GrantsQuery(CreatedQuery, frozen=True, kw_only=True):
    team_id: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    token_id: str | None = None
    role_id: str | None = None


class GrantInput(In, frozen=True, kw_only=True):
    """A role on one project for one member or one token of its team."""

    project_id: str
    role: Reference
    """Its id or name."""
    user_id: str | None = None
    token_id: str | None = None
    environment: str | None = None
    """null: all of them."""
    expires_at: Timestamp | None = None
    """null: until it is removed."""


class Grant(Out, frozen=True, kw_only=True):
    id: str
    team_id: str
    user_id: str | None
    token_id: str | None
    role_id: str
    role_name: str
    project_id: str
    environment: str | None
    expires_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str


class CheckItem(In, frozen=True, kw_only=True):
    scope: Scope
    project_id: str | None = None
    environment: str | None = None


class CheckInput(In, frozen=True, kw_only=True):
    checks: Annotated[list[CheckItem], Meta(min_length=1, max_length=100)]
    user_id: str | None = None
    """Of whom; null: yourself, with the token you use."""
    team_id: str | None = None
    """For what names no project."""


class EffectiveQuery(PageQuery, frozen=True, kw_only=True):
    team_id: str | None = None
    project_id: str | None = None
    """Only what holds on it."""
    user_id: str | None = None


class GrantedBy(Out, frozen=True, kw_only=True):
    type: Literal["role", "grant", "token"]
    id: str
    name: str


class PermissionCheck(Out, frozen=True, kw_only=True):
    scope: str
    project_id: str | None
    environment: str | None
    allowed: bool
    reason: str
    granted_by: GrantedBy | None
    would_allow: list[GrantedBy]
    """Roles that have it, those with the fewest permissions first; or the token that would have to name it."""


class PermissionChecks(Out, frozen=True, kw_only=True):
    checks: list[PermissionCheck]
    """An answer for each question, in their order."""


class EffectivePermission(Out, frozen=True, kw_only=True):
    scope: str
    project_id: str | None
    environment: str | None
    granted_by: GrantedBy


class MembersQuery(TimeQuery, frozen=True, kw_only=True):
    search: Search | None = None


class MemberPatch(In, frozen=True, kw_only=True):
    role: Reference | None
    """Its id or name; null: none in the team as a whole, only what is granted on single projects."""


class ProjectRole(Out, frozen=True, kw_only=True):
    grant_id: str
    project_id: str
    environment: str | None
    role_id: str
    role_name: str


class Member(Out, frozen=True, kw_only=True):
    id: str
    team_id: str
    user_id: str
    name: str
    email: str | None
    role_id: str | None
    """null: none in the team as a whole, only `projectRoles`."""
    role_name: str | None
    project_roles: list[ProjectRole]
    two_factor_enabled: bool
    last_active_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str


InvitationStatus = Literal["pending", "accepted", "expired", "revoked"]


class InvitationsQuery(TimeQuery, frozen=True, kw_only=True):
    status: list[InvitationStatus] = []


class InvitationInput(In, frozen=True, kw_only=True):
    email: Email
    role: Reference
    """Its id or name."""
    project_ids: Annotated[list[str], Meta(max_length=100)] = []
    """None: the whole team; else only these."""


class Invitation(Out, frozen=True, kw_only=True):
    id: str
    team_id: str
    email: str
    role_id: str
    role_name: str
    project_ids: list[str]
    status: InvitationStatus
    expires_at: Timestamp
    accepted_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str


class InvitationWithUrl(Invitation, frozen=True, kw_only=True):
    accept_url: str | None
    """Shown this once, where the installation sends no mail; null: it was mailed."""


class InvitationToken(In, frozen=True, kw_only=True):
    invitation_token: Annotated[str, Meta(min_length=1, max_length=200)]
    """What stands behind the `#` of the link."""


class InvitationPreview(Out, frozen=True, kw_only=True):
    team_name: str
    email: str
    role_name: str
    expires_at: Timestamp
    has_account: bool
    """Whether whoever has this address signs in, or registers."""
