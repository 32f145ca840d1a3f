"""Who is asking."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from cygnid.core.db import Read


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The caller of one request, or the platform itself."""

    type: Literal["user", "token", "system", "anonymous"]
    id: str | None
    """`user_…` for a user's own token, `tok_…` for team and deploy tokens; None: system, anonymous."""
    name: str
    token_id: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    """A team or deploy token's team."""
    kind: Literal["personal", "team", "deploy", "session"] | None = None
    scopes: frozenset[str] = frozenset()
    """As granted to the token; `*` and `noun:*` not yet expanded."""
    project_id: str | None = None
    environment: str | None = None
    is_instance_admin: bool = False
    plan: str = "free"
    """Of the bucket this caller is counted in."""
    ip: str | None = None
    secret_created_at: datetime | None = None
    """Since when the secret that was shown has been the token's."""

    @property
    def address(self) -> str | None:
        """`ip` as networks are written: of an IPv4 caller, whatever family the socket is of. None: no address."""
        return None if self.ip is None else plain_address(self.ip)

    def reaches(self, project_id: str | None, environment: str | None) -> bool:
        """Whether this is within what the actor is bound to; `project_id` None: something of the whole team."""
        if self.project_id is None:
            return True
        return project_id == self.project_id and self.environment in (None, environment)

    @property
    def bucket(self) -> str:
        """One per team for team and deploy tokens, per user for the others, per address for nobody."""
        return self.team_id or self.user_id or f"ip:{self.ip}"

    @property
    def created_by(self) -> str:
        """What `createdBy` says."""
        return self.id or "system"


SYSTEM = Actor(type="system", id=None, name="system")


def anonymous(ip: str | None) -> Actor:
    return Actor(type="anonymous", id=None, name="anonymous", ip=ip)


def plain_address(ip: str) -> str | None:
    try:
        address = ip_address(ip)
    except ValueError:
        return None
    # a socket that serves both families shows IPv4 callers as ::ffff:a.b.c.d
    return str(getattr(address, "ipv4_mapped", None) or address)


class Authenticator(Protocol):
    """Implemented by the tokens noun, handed over by app.py."""

    async def __call__(self, read: "Read", secret: str, ip: str | None) -> Actor:
        """The actor whose secret this is. Raises Unauthorized for malformed and unknown secrets alike,
        TokenExpired and TokenRevoked only when the secret matched."""
        ...
