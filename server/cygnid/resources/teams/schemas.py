"""What is said of teams."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from cygnid.core.errors import NameTaken
from cygnid.core.filters import Search, TimeQuery
from cygnid.core.plans import PlanName
from cygnid.core.schemas import In, Out, Timestamp

TeamName = Annotated[str, Meta(min_length=1, max_length=100)]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
Domains = Annotated[
    list[Annotated[str, Meta(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", max_length=253)]],
    Meta(max_length=100, description="Of the addresses of members; none: any."),
]
Networks = Annotated[list[str], Meta(max_length=100, description="Addresses and networks (CIDR); none: any.")]


class TeamEvent(StrEnum):
    CREATED = "team.created"
    UPDATED = "team.updated"
    DELETED = "team.deleted"
    RESTORED = "team.restored"


class SlugTaken(NameTaken):
    """Another team of this installation has this slug."""

    hint = "Choose another slug."


class TeamRef(Out, frozen=True, kw_only=True):
    """A team as its caller stands in it; no role: a team or deploy token, or a member of single projects."""

    id: str
    name: str
    slug: str
    role_id: str | None
    role_name: str | None


class TeamsQuery(TimeQuery, frozen=True, kw_only=True):
    search: Search | None = None


class TeamInput(In, frozen=True, kw_only=True):
    name: TeamName
    slug: Slug
    """For people and the command line: small letters, digits and single hyphens."""


class TeamPatch(In, frozen=True, kw_only=True):
    """What is absent stays, null clears."""

    name: TeamName | UnsetType = UNSET
    allowed_email_domains: Domains | UnsetType | None = UNSET
    max_token_age_days: Annotated[int, Meta(ge=1, le=3650)] | UnsetType | None = UNSET
    """How old a token's secret may be to act in the team; null: as old as it likes."""
    allowed_ips: Networks | UnsetType | None = UNSET
    """From where tokens may act in the team."""


class Team(Out, frozen=True, kw_only=True):
    id: str
    name: str
    slug: str
    plan: PlanName
    member_count: int
    allowed_email_domains: list[str]
    max_token_age_days: int | None
    allowed_ips: list[str]
    deleted_at: Timestamp | None
    purge_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str
