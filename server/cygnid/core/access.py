"""Permissions, built-in roles, and how a caller's token and roles meet."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import msgspec

from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import Forbidden, InsufficientScope, NotFound


class Permission(StrEnum):
    """`resource:action`. Instance administration belongs to no role and no wildcard."""

    PROJECTS_READ = "projects:read"
    PROJECTS_WRITE = "projects:write"
    PROJECTS_DELETE = "projects:delete"
    PROJECTS_ADMIN = "projects:admin"
    DEPLOYMENTS_READ = "deployments:read"
    DEPLOYMENTS_WRITE = "deployments:write"
    DEPLOYMENTS_PROMOTE = "deployments:promote"
    DEPLOYMENTS_APPROVE = "deployments:approve"
    DEPLOYMENTS_SCALE = "deployments:scale"
    DEPLOYMENTS_DELETE = "deployments:delete"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    INSTANCES_EXEC = "instances:exec"
    DOMAINS_READ = "domains:read"
    DOMAINS_WRITE = "domains:write"
    ENV_READ = "env:read"
    ENV_WRITE = "env:write"
    ENV_REVEAL = "env:reveal"
    VOLUMES_READ = "volumes:read"
    VOLUMES_WRITE = "volumes:write"
    VOLUMES_DELETE = "volumes:delete"
    SERVICES_READ = "services:read"
    SERVICES_WRITE = "services:write"
    SERVICES_DELETE = "services:delete"
    BACKUPS_READ = "backups:read"
    BACKUPS_WRITE = "backups:write"
    BACKUPS_RESTORE = "backups:restore"
    TEAMS_READ = "teams:read"
    TEAMS_WRITE = "teams:write"
    TEAMS_DELETE = "teams:delete"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    ROLES_READ = "roles:read"
    ROLES_WRITE = "roles:write"
    BILLING_READ = "billing:read"
    BILLING_WRITE = "billing:write"
    METRICS_READ = "metrics:read"
    LOGS_READ = "logs:read"
    DRAINS_READ = "drains:read"
    DRAINS_WRITE = "drains:write"
    ALERTS_READ = "alerts:read"
    ALERTS_WRITE = "alerts:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    EVENTS_READ = "events:read"
    TOKENS_READ = "tokens:read"
    TOKENS_WRITE = "tokens:write"
    AUDIT_READ = "audit:read"
    INSTANCE_ADMIN = "instance:admin"


ALL = frozenset(Permission) - {Permission.INSTANCE_ADMIN}
_NAMES = frozenset(permission.value for permission in Permission)


def expand(scopes: frozenset[str] | list[str]) -> frozenset[Permission]:
    """`*` and `noun:*` spelled out; words that are no permission are left out."""
    return _expand(frozenset(scopes))


@lru_cache(1024)
def _expand(scopes: frozenset[str]) -> frozenset[Permission]:
    found: set[Permission] = set()
    for scope in scopes:
        if scope == "*":
            found |= ALL
        elif scope.endswith(":*"):
            found |= {permission for permission in ALL if permission.startswith(scope[:-1])}
        elif scope in _NAMES:
            found.add(Permission(scope))
    return frozenset(found)


_VIEWER = (
    "projects:read deployments:read jobs:read domains:read metrics:read logs:read events:read teams:read members:read"
)
_ROLES = {
    "owner": "*",
    "admin": " ".join(sorted(ALL - {Permission.TEAMS_DELETE, Permission.BILLING_WRITE})),
    "viewer": _VIEWER,
    "developer": f"{_VIEWER} projects:write deployments:* jobs:write domains:write env:read env:write volumes:read"
    " volumes:write services:read services:write webhooks:* drains:read alerts:read roles:read",
    "deployer": "projects:read deployments:read deployments:write logs:read metrics:read events:read",
    "operator": f"{_VIEWER} deployments:promote deployments:scale instances:exec alerts:* backups:*",
    "billing": "billing:* projects:read teams:read members:read events:read",
    "auditor": " ".join(sorted(p for p in ALL if p.endswith(":read") and p != Permission.ENV_READ)),
}
BOUND = "A deploy token acts in its own project and environment only."
ROLES: dict[str, frozenset[Permission]] = {name: expand(scopes.split()) for name, scopes in _ROLES.items()}
"""Built-in roles, the same in every installation."""


class _Grant(msgspec.Struct, frozen=True):
    team_id: str
    scopes: list[str]


@dataclass(frozen=True, kw_only=True)
class TeamAccess:
    """Proof that the actor may do `permission` in this team: only `team_access` makes one."""

    actor: Actor
    team_id: str
    permissions: frozenset[Permission]


async def permissions_by_team(read: Read, actor: Actor) -> dict[str, frozenset[Permission]]:
    """Every team the actor acts in, with what token and role allow together."""
    own = expand(actor.scopes)
    if actor.team_id is not None:
        return {actor.team_id: own}
    grants = await read.all(_Grant, "SELECT team_id, scopes FROM effective_grants WHERE user_id = $1", actor.user_id)
    found: dict[str, frozenset[Permission]] = {}
    for grant in grants:
        found[grant.team_id] = found.get(grant.team_id, frozenset()) | (own & expand(grant.scopes))
    return found


async def team_access(
    read: Read,
    actor: Actor,
    team_id: str,
    needs: Permission,
    *,
    project_id: str | None = None,
    environment: str | None = None,
) -> TeamAccess:
    """`project_id`, `environment`: what inside the team it is about; None: the team as a whole, or every environment.
    Raises NotFound for a team that is not the actor's, InsufficientScope for one where the permission lacks, Forbidden
    for a deploy token outside its own project or environment."""
    permissions = (await permissions_by_team(read, actor)).get(team_id)
    if permissions is None:
        raise NotFound
    with refused_in(team_id, project_id, environment):
        require(permissions, needs)
        if not actor.reaches(project_id, environment):
            raise Forbidden(BOUND, hint="Use a team or personal token for anything else.")
    return TeamAccess(actor=actor, team_id=team_id, permissions=permissions)


@contextmanager
def refused_in(team_id: str, project_id: str | None = None, environment: str | None = None) -> Generator[None]:
    """A refusal inside says where it was, for the audit log."""
    try:
        yield
    except Forbidden as refused:
        refused.team_id, refused.project_id, refused.environment = team_id, project_id, environment
        raise


def require(permissions: frozenset[Permission], needs: Permission) -> None:
    """Raises InsufficientScope with the header that RFC 6750 section 3 asks for."""
    if needs not in permissions:
        raise InsufficientScope(
            details={"requiredScopes": [needs], "grantedScopes": sorted(permissions)},
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needs}"'},
        )
