"""Why somebody may do something, or not, and what would allow it."""

from collections.abc import Sequence
from dataclasses import dataclass

from cygnid.core.access import BOUND, Held, Holding, Permission, expand
from cygnid.core.actors import Actor
from cygnid.resources.permissions.queries import RoleRow
from cygnid.resources.permissions.schemas import EffectivePermission, GrantedBy, PermissionCheck

_FIRST = {"role": 0, "token": 1, "grant": 2}
_MOST_TOLD = 10


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a question is about; no project: the team as a whole."""

    project_id: str | None = None
    environment: str | None = None


def explain(actor: Actor, held: Held, roles: Sequence[RoleRow], scope: Permission, place: Place) -> PermissionCheck:
    """`actor`: whose question it is answered for, with the token they use. `roles`: those of the team."""
    giving = _giving(held, scope, place)
    if scope not in expand(actor.scopes) and giving is not None and actor.token_id is not None:
        token = GrantedBy(type="token", id=actor.token_id, name=actor.name)
        return _answer(scope, place, "The token that you use lacks it.", would_allow=[token])
    if not actor.reaches(place.project_id, place.environment):
        return _answer(scope, place, BOUND)
    if giving is None:
        return _answer(scope, place, _lack(held, place), would_allow=_roles_with(roles, scope))
    return _answer(scope, place, _why(giving), granted_by=_shown(giving))


def explain_administration(actor: Actor) -> PermissionCheck:
    """The one permission that no team gives."""
    scope, place = Permission.INSTANCE_ADMIN, Place()
    if actor.is_instance_admin and actor.token_id is not None:
        token = GrantedBy(type="token", id=actor.token_id, name=actor.name)
        return _answer(scope, place, "You administer the installation, and your token names it.", granted_by=token)
    return _answer(scope, place, "No role has it: an instance admin's token that names it does.")


def effective(held: Held, actor: Actor, project_id: str | None) -> list[EffectivePermission]:
    """Every permission and where it comes from; `project_id`: only what holds there."""
    found: list[EffectivePermission] = []
    for holding in sorted(held.holdings, key=lambda one: (_FIRST[one.type], one.project_id or "", one.id or "")):
        if project_id is not None and holding.project_id not in (None, project_id):
            continue
        bound = holding.type == "token"
        found += [
            EffectivePermission(
                scope=scope,
                project_id=actor.project_id if bound else holding.project_id,
                environment=actor.environment if bound else holding.environment,
                granted_by=_shown(holding),
            )
            for scope in sorted(held.own & expand(frozenset(holding.scopes)))
        ]
    return found


def _giving(held: Held, scope: Permission, place: Place) -> Holding | None:
    """What is told first of all that gives it."""
    found = [
        holding
        for holding in held.holdings
        if holding.counts(place.project_id, place.environment) and scope in expand(frozenset(holding.scopes))
    ]
    return min(found, key=lambda one: _FIRST[one.type], default=None)


def _roles_with(roles: Sequence[RoleRow], scope: Permission) -> list[GrantedBy]:
    fitting = [role for role in roles if scope in expand(role.scopes)]
    fitting.sort(key=lambda role: (len(expand(role.scopes)), role.id))
    return [GrantedBy(type="role", id=role.id, name=role.name) for role in fitting[:_MOST_TOLD]]


def _lack(held: Held, place: Place) -> str:
    here = [holding for holding in held.holdings if holding.counts(place.project_id, place.environment)]
    names = [f"the {'grant of ' if holding.type == 'grant' else ''}{holding.name}" for holding in here if holding.name]
    if not names:
        return "No role in the team, and no grant there, gives it."
    return f"It is not among what {' and '.join(names)} {'gives' if len(names) == 1 else 'give'}."


def _why(holding: Holding) -> str:
    if holding.type == "role":
        return f"The role {holding.name} has it."
    if holding.type == "token":
        return "The token has it."
    where = "on the project" if holding.environment is None else f"in the environment {holding.environment}"
    return f"A grant of {holding.name} {where} has it."


def _shown(holding: Holding) -> GrantedBy:
    return GrantedBy(type=holding.type, id=holding.id or "", name=holding.name)


def _answer(
    scope: Permission,
    place: Place,
    reason: str,
    *,
    granted_by: GrantedBy | None = None,
    would_allow: Sequence[GrantedBy] = (),
) -> PermissionCheck:
    return PermissionCheck(
        scope=scope,
        project_id=place.project_id,
        environment=place.environment,
        allowed=granted_by is not None,
        reason=reason,
        granted_by=granted_by,
        would_allow=list(would_allow),
    )
