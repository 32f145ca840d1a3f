"""Permissions, built-in roles, and how a caller's token and roles meet."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Literal

import msgspec

from cygnid.core import clock
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
GUARDED = frozenset(
    {
        Permission.DEPLOYMENTS_WRITE,
        Permission.DEPLOYMENTS_PROMOTE,
        Permission.DEPLOYMENTS_SCALE,
        Permission.DEPLOYMENTS_DELETE,
        Permission.ENV_WRITE,
        Permission.ENV_REVEAL,
        Permission.JOBS_WRITE,
        Permission.INSTANCES_EXEC,
    }
)
"""What nobody may do in a protected environment without a grant there, owners included."""
AGAINST_POLICY = "This team takes no token of this age, or none from this address."
BOUND = "A deploy token acts in its own project and environment only."
ROLES: dict[str, frozenset[Permission]] = {name: expand(scopes.split()) for name, scopes in _ROLES.items()}
"""Built-in roles, the same in every installation."""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Where permissions come from: a role in a team, a grant of one on a project, or a token's own scopes."""

    type: Literal["role", "grant", "token"]
    id: str | None
    """Of the role, grant or token; None: a member who has no role in the team as a whole."""
    name: str
    team_id: str
    project_id: str | None
    """None: everything in the team."""
    environment: str | None
    """None: every environment."""
    scopes: list[str]

    def counts(self, project_id: str | None, environment: str | None, *, partly: bool = False) -> bool:
        """Whether it holds for this. `partly`: also where it holds in one environment of the project alone."""
        if self.project_id is None:
            return True
        return self.project_id == project_id and (partly or self.environment in (None, environment))


@dataclass(frozen=True, kw_only=True)
class Held:
    """All that an actor may do in one team, by where it comes from. Nothing in it goes beyond the scopes of the token
    that is used; a grant to a token adds nothing to them, and opens what asks for a grant."""

    own: frozenset[Permission]
    """Of the token."""
    holdings: Sequence[Holding]

    def on(
        self, project_id: str | None = None, environment: str | None = None, *, partly: bool = False
    ) -> frozenset[Permission]:
        """What holds there; without a project: for the team as a whole."""
        found: set[Permission] = set()
        for holding in self.holdings:
            if holding.counts(project_id, environment, partly=partly):
                found |= expand(frozenset(holding.scopes))
        return self.own & found

    def granted(self, project_id: str, environment: str) -> frozenset[Permission]:
        """What a grant on exactly this environment gives."""
        found: set[Permission] = set()
        for holding in self.holdings:
            if holding.type == "grant" and (holding.project_id, holding.environment) == (project_id, environment):
                found |= expand(frozenset(holding.scopes))
        return self.own & found

    def on_protected(self, project_id: str, environment: str) -> frozenset[Permission]:
        """What holds in a protected environment. Whoever may end the protection may approve."""
        held = self.on(project_id, environment)
        lost = GUARDED if Permission.PROJECTS_ADMIN in held else GUARDED | {Permission.DEPLOYMENTS_APPROVE}
        return held - (lost - self.granted(project_id, environment))

    @property
    def anywhere(self) -> frozenset[Permission]:
        """What holds in some part of the team."""
        return self.own & expand(frozenset(scope for holding in self.holdings for scope in holding.scopes))


@dataclass(frozen=True, kw_only=True)
class TeamAccess:
    """Proof that the actor may do `permission` in this team: only `team_access` makes one."""

    actor: Actor
    team_id: str
    permissions: frozenset[Permission]
    """What they may do to that of which this is the proof."""


async def held_by_team(read: Read, actor: Actor, team_id: str | None = None) -> dict[str, Held]:
    """Every team the actor acts in, or only the named one."""
    own = expand(actor.scopes)
    if actor.user_id is not None:
        condition, who = "user_id = $1", actor.user_id
    else:
        condition, who = "token_id = $1", actor.token_id
    rows = await read.all(
        Holding,
        f"""SELECT type, id, COALESCE(role_name, '') AS name, team_id, project_id, environment, scopes
            FROM effective_grants
            WHERE {condition} AND ($2::text IS NULL OR team_id = $2) AND (expires_at IS NULL OR expires_at > $3)
                AND ($4 OR EXISTS (SELECT FROM teams WHERE teams.id = team_id
                    AND (allowed_ips = '{{}}' OR $5::text::inet <<= ANY (allowed_ips::inet[]))
                    AND (max_token_age_days IS NULL OR $6::timestamptz IS NULL
                        OR $6 > $3 - make_interval(days => max_token_age_days))))
            ORDER BY team_id, id""",  # noqa: S608  constants
        who,
        team_id,
        clock.now(),
        actor.token_id is None,  # nobody's request: somebody asks what another may do
        actor.address,
        actor.secret_created_at,
    )
    if actor.team_id is not None and team_id in (None, actor.team_id):
        # what it is bound to is said by Actor.reaches, not here
        rows.append(
            Holding(
                type="token",
                id=actor.token_id,
                name=actor.name,
                team_id=actor.team_id,
                project_id=None,
                environment=None,
                scopes=sorted(actor.scopes),
            )
        )
    found: dict[str, list[Holding]] = {}
    for row in rows:
        found.setdefault(row.team_id, []).append(row)
    return {team: Held(own=own, holdings=holdings) for team, holdings in found.items()}


async def permissions_by_team(read: Read, actor: Actor) -> dict[str, frozenset[Permission]]:
    """Every team the actor acts in, with what they may do in it as a whole."""
    return {team: held.on() for team, held in (await held_by_team(read, actor)).items()}


async def held_in(read: Read, actor: Actor, team_id: str) -> Held:
    """Raises NotFound for a team that is not the actor's, Forbidden for one that takes no such token, or none from this
    address."""
    held = (await held_by_team(read, actor, team_id)).get(team_id)
    if held is None:
        if actor.user_id is not None and team_id in await held_by_team(read, replace(actor, token_id=None), team_id):
            with refused_in(team_id):
                raise Forbidden(AGAINST_POLICY, hint="Sign in and rotate the token, if it is old: cygni tokens rotate.")
        raise NotFound
    return held


async def team_access(
    read: Read,
    actor: Actor,
    team_id: str,
    needs: Permission,
    *,
    project_id: str | None = None,
    environment: str | None = None,
    partly: bool = False,
) -> TeamAccess:
    """`project_id`, `environment`: what inside the team it is about; None: the team as a whole, or every environment.
    `partly`: it is enough to have the permission in one environment of the project. Raises NotFound for a team that is
    not the actor's, InsufficientScope for one where the permission lacks, Forbidden for a deploy token outside its own
    project or environment."""
    held = await held_in(read, actor, team_id)
    permissions = held.on(project_id, environment, partly=partly)
    with refused_in(team_id, project_id, environment):
        require(permissions, needs)
        if not actor.reaches(project_id, actor.environment if partly else environment):
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
    require_all(permissions, frozenset({needs}))


def require_all(permissions: frozenset[Permission], wanted: frozenset[Permission]) -> None:
    """Nobody gives what they lack, and nobody changes a member, role or token that has more than they have: `wanted`
    is what would be given, or what it has. Raises InsufficientScope, which names what is missing."""
    if missing := sorted(wanted - permissions):
        raise InsufficientScope(
            details={"requiredScopes": missing, "grantedScopes": sorted(permissions)},
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{" ".join(missing)}"'},
        )


def require_no_less(mine: Held, theirs: Held) -> None:
    """The same for all that somebody holds in a team, each part of it where it holds. Raises InsufficientScope."""
    for holding in theirs.holdings:
        wanted = theirs.own & expand(frozenset(holding.scopes))
        require_all(mine.on(holding.project_id, holding.environment), wanted)
