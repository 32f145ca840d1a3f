"""What is said of teams."""

from enum import StrEnum

from cygnid.core.errors import NameTaken
from cygnid.core.schemas import Out


class TeamEvent(StrEnum):
    CREATED = "team.created"


class SlugTaken(NameTaken):
    """Another team of this installation has this slug."""

    hint = "Choose another slug."


class TeamRef(Out, frozen=True, kw_only=True):
    """A team as its caller stands in it; no role: a team or deploy token."""

    id: str
    name: str
    slug: str
    role_id: str | None
    role_name: str | None
