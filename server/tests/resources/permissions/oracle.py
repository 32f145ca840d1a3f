"""What teams, roles, grants and tokens come to, said once more and as plainly as can be: the tests compare the API
with it. Sets of words, no database, no code of the product but the table of built-in roles."""

from dataclasses import dataclass, field
from typing import Literal

from cygnid.core.access import ALL, ROLES

Verdict = Literal["yes", "no", "hidden", "last_owner", "wrong"]
Scopes = frozenset[str]
Place = tuple[str | None, str | None]
TEAM: Place = (None, None)


@dataclass(frozen=True)
class Caller:
    """A token: a user's, or the team's own."""

    user: str | None
    scopes: Scopes

    @property
    def own(self) -> Scopes:
        return frozenset(map(str, ALL)) if "*" in self.scopes else self.scopes


@dataclass(frozen=True)
class Grant:
    user: str
    role: str
    place: Place


@dataclass
class Oracle:
    roles: dict[str, Scopes] = field(
        default_factory=lambda: {name: frozenset(map(str, scopes)) for name, scopes in ROLES.items()}
    )
    members: dict[str, str] = field(default_factory=dict[str, str])
    """User → role."""
    grants: dict[str, Grant] = field(default_factory=dict[str, Grant])

    def held(self, caller: Caller, place: Place = TEAM) -> Scopes:
        return caller.own if caller.user is None else caller.own & self._of_user(caller.user, place)

    def anywhere(self, caller: Caller) -> Scopes:
        places = [TEAM, *(grant.place for grant in self.grants.values() if grant.user == caller.user)]
        return frozenset().union(*(self.held(caller, place) for place in places))

    def sees(self, caller: Caller) -> bool:
        return caller.user is None or caller.user in self.members

    def may(self, caller: Caller, needs: str, gives: Scopes = frozenset(), place: Place = TEAM) -> Verdict:
        """Do what takes `needs` there, and give (or change what has) `gives`."""
        if not self.sees(caller):
            return "hidden"
        return "yes" if {needs} | gives <= self.held(caller, place) else "no"

    def may_change_member(self, caller: Caller, user: str, role: str | None) -> Verdict:
        """`role` None: remove them."""
        is_leaving = role is None and caller.user == user
        if not self.sees(caller) or user not in self.members:
            return "hidden" if not self.sees(caller) or self.may(caller, "members:write") == "yes" else "no"
        if is_leaving and "members:write" not in caller.own:
            return "no"
        if not is_leaving:
            gives = frozenset[str]() if role is None else self.roles[role]
            if self.may(caller, "members:write", gives) != "yes" or self._has_more(user, caller):
                return "no"
        owners = [one for one, has in self.members.items() if has == "owner"]
        return "last_owner" if owners == [user] and role != "owner" else "yes"

    def may_grant(self, caller: Caller, user: str, role: str, place: Place) -> Verdict:
        verdict = self.may(caller, "roles:write", self.roles[role], place)
        return "wrong" if verdict == "yes" and user not in self.members else verdict

    def may_make_token(self, caller: Caller, scopes: Scopes, kind: Literal["personal", "team"]) -> Verdict:
        if kind == "team":
            return self.may(caller, "tokens:write", scopes)
        if caller.user is None or "tokens:write" not in caller.own:
            return "no"
        return "yes" if scopes <= self.anywhere(caller) else "no"

    def remove(self, user: str) -> None:
        del self.members[user]
        self.grants = {key: grant for key, grant in self.grants.items() if grant.user != user}

    def _of_user(self, user: str, place: Place) -> Scopes:
        if user not in self.members:
            return frozenset()
        found = self.roles[self.members[user]]
        for grant in self.grants.values():
            project, environment = grant.place
            if grant.user == user and project == place[0] and environment in (None, place[1]):
                found |= self.roles[grant.role]
        return found

    def _has_more(self, user: str, caller: Caller) -> bool:
        mine = [(TEAM, self.roles[self.members[user]])]
        mine += [(one.place, self.roles[one.role]) for one in self.grants.values() if one.user == user]
        return any(not scopes <= self.held(caller, place) for place, scopes in mine)
