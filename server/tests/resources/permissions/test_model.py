"""Anybody tries anything, in any order: the API says and does what the oracle says."""

import asyncio
import itertools
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from cygni import APIStatusError
from cygnid.core import db
from cygnid.core.actors import SYSTEM
from cygnid.resources.permissions.schemas import BUILT_IN_ROLES
from cygnid.resources.tokens.actions import NewToken, issue
from tests.make.api import Api, api_of
from tests.make.database import fresh_database
from tests.make.people import make_team, make_user
from tests.resources.permissions.oracle import TEAM, Caller, Grant, Oracle, Place, Verdict

EXAMPLES, STEPS = 10, 25
WORDS = ("projects:read", "deployments:write", "env:write", "members:read", "members:write", "roles:write",
         "tokens:write", "teams:delete")  # fmt: skip
USERS = ("ann", "ben", "cat", "dan")
ROLES = ("owner", "admin", "viewer", "deployer", "own-a", "own-b")
PLACES: tuple[Place, ...] = (("a", None), ("a", "staging"), ("b", None), ("b", "staging"))
_VERDICTS: dict[tuple[int, str], Verdict] = {
    (403, "insufficient_scope"): "no", (403, "forbidden"): "no", (404, "not_found"): "hidden",
    (409, "last_owner"): "last_owner", (400, "validation_error"): "wrong",
}  # fmt: skip
scopes = st.frozensets(st.sampled_from(WORDS), min_size=1, max_size=4)
callers, users, roles, places = (
    st.integers(0, 99),
    st.sampled_from(USERS),
    st.sampled_from(ROLES),
    st.sampled_from(PLACES),
)
_numbers = itertools.count()


class Attempts(RuleBasedStateMachine):
    """One team of its own for each run. `api` and `run` come from the test."""

    api: Api
    loop: asyncio.AbstractEventLoop

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    @initialize()
    def begin(self) -> None:
        self.oracle, self.ids, self.role_ids = Oracle(), dict[str, str](), dict(BUILT_IN_ROLES)
        self.callers: list[tuple[Caller, str]] = []
        self.run(self._begin(next(_numbers)))

    async def _begin(self, number: int) -> None:
        starting = {"ann": "owner", "ben": "admin", "cat": "viewer", "dan": "deployer"}
        async with db.begin(self.api.pool) as tx:
            self.team = await make_team(tx, f"team-{number}", "enterprise")
            for name, role in starting.items():
                self.ids[name] = await make_user(tx, f"{name}{number}", **{self.team: role})
                new = NewToken(kind="personal", name="t", scopes=["*"])
                _, secret = await issue(tx, SYSTEM, new, user_id=self.ids[name])
                self.callers.append((Caller(name, frozenset(["*"])), secret))
        self.oracle.members = starting
        self.projects = {name: f"{name}-{number}" for name in "ab"}
        for name in self.projects.values():
            await self._call(0, "POST", "/projects", {"name": name, "teamId": self.team})
            await self._call(0, "POST", f"/projects/{name}/environments", {"name": "staging"})
        for name in ("own-a", "own-b"):
            body = {"name": name, "scopes": ["projects:read"], "teamId": self.team}
            self.role_ids[name] = (await self._call(0, "POST", "/roles", body))["id"]
            self.oracle.roles[name] = frozenset(["projects:read"])

    async def _call(self, caller: int, method: str, path: str, json: Any = None) -> Any:
        async with self.api.client(self.callers[caller][1]) as client:
            return getattr(await client.request(method, path, json=json), "data", None)

    def attempt(self, caller: int, expected: Verdict, method: str, path: str, json: Any = None) -> Any:
        """The answer's data when it was allowed, else None; never anything but what the oracle says."""
        verdict: Verdict = "yes"
        data = None
        try:
            data = self.run(self._call(caller, method, path, json)) or {}
        except APIStatusError as error:
            verdict = _VERDICTS[error.status, error.code]
        assert verdict == expected, (self.callers[caller][0], method, path, json)
        return data

    def who(self, number: int) -> tuple[int, Caller]:
        index = number % len(self.callers)
        return index, self.callers[index][0]

    @rule(by=callers, role=st.sampled_from(ROLES[-2:]), wanted=scopes)
    def change_a_role(self, by: int, role: str, wanted: frozenset[str]) -> None:
        index, caller = self.who(by)
        expected = self.oracle.may(caller, "roles:write", self.oracle.roles[role] | wanted)
        if (
            self.attempt(index, expected, "PATCH", f"/roles/{self.role_ids[role]}", {"scopes": sorted(wanted)})
            is not None
        ):
            self.oracle.roles[role] = wanted

    @rule(by=callers, user=users, role=roles)
    def change_a_member(self, by: int, user: str, role: str) -> None:
        index, caller = self.who(by)
        expected = self.oracle.may_change_member(caller, user, role)
        path = f"/teams/{self.team}/members/{self._member(user)}"
        if self.attempt(index, expected, "PATCH", path, {"role": role}) is not None:
            self.oracle.members[user] = role

    @rule(by=callers, user=users)
    def remove_a_member(self, by: int, user: str) -> None:
        index, caller = self.who(by)
        expected = self.oracle.may_change_member(caller, user, None)
        path = f"/teams/{self.team}/members/{self._member(user)}"
        if self.attempt(index, expected, "DELETE", path) is not None:
            self.oracle.remove(user)

    @precondition(lambda self: len(self.oracle.members) < len(USERS))
    @rule(role=st.sampled_from(("viewer", "deployer")))
    def come_back(self, role: str) -> None:
        user = next(one for one in USERS if one not in self.oracle.members)
        self.run(
            self.api.pool.execute(
                "INSERT INTO members (id, team_id, user_id, role_id, created_at) VALUES ($1, $2, $3, $4, now())",
                f"mem_{user}{next(_numbers)}", self.team, self.ids[user], BUILT_IN_ROLES[role],
            )
        )  # fmt: skip
        self.oracle.members[user] = role

    @rule(by=callers, user=users, role=roles, place=places)
    def grant(self, by: int, user: str, role: str, place: Place) -> None:
        index, caller = self.who(by)
        expected = self.oracle.may_grant(caller, user, role, place)
        body = {
            "projectId": self.projects[place[0] or ""],
            "environment": place[1],
            "userId": self.ids[user],
            "role": role,
        }
        if (made := self.attempt(index, expected, "POST", "/grants", body)) is not None:
            self.oracle.grants[made["id"]] = Grant(user, role, place)

    @precondition(lambda self: self.oracle.grants)
    @rule(by=callers, number=st.integers(0, 99))
    def take_a_grant(self, by: int, number: int) -> None:
        index, caller = self.who(by)
        grant_id = sorted(self.oracle.grants)[number % len(self.oracle.grants)]
        grant = self.oracle.grants[grant_id]
        expected = self.oracle.may(caller, "roles:write", self.oracle.roles[grant.role], grant.place)
        if self.attempt(index, expected, "DELETE", f"/grants/{grant_id}") is not None:
            del self.oracle.grants[grant_id]

    @rule(by=callers, wanted=scopes, kind=st.sampled_from(("personal", "team")))
    def make_a_token(self, by: int, wanted: frozenset[str], kind: Any) -> None:
        index, caller = self.who(by)
        expected = self.oracle.may_make_token(caller, wanted, kind)
        body = {"name": "t", "kind": kind, "scopes": sorted(wanted)} | ({"teamId": self.team} if kind == "team" else {})
        if (made := self.attempt(index, expected, "POST", "/tokens", body)) is not None:
            self.callers.append((Caller(caller.user if kind == "personal" else None, wanted), made["secret"]))

    @rule(by=callers, place=st.sampled_from((TEAM, *PLACES)))
    def look(self, by: int, place: Place) -> None:
        """What the API says somebody may do is what they may."""
        index, caller = self.who(by)
        project = None if place[0] is None else self.projects[place[0]]
        checks = [{"scope": word, "projectId": project, "environment": place[1]} for word in WORDS]
        expected: Verdict = "yes" if self.oracle.sees(caller) else "hidden"
        data = self.attempt(index, expected, "POST", "/permissions/check", {"checks": checks, "teamId": self.team})
        if data is not None:
            allowed = {one["scope"] for one in data["checks"] if one["allowed"]}
            assert allowed == self.oracle.held(caller, place) & set(WORDS), (caller, place)

    def _member(self, user: str) -> str:
        sql = "SELECT id FROM members WHERE team_id = $1 AND user_id = $2"
        return self.run(self.api.pool.fetchval(sql, self.team, self.ids[user])) or "mem_nobody"


def test_whatever_anybody_tries(postgres_server: str, tmp_path: Path) -> None:
    loop, stack = asyncio.new_event_loop(), AsyncExitStack()

    async def begin() -> Api:
        url = await stack.enter_async_context(fresh_database(postgres_server))
        return await stack.enter_async_context(api_of(url, tmp_path))

    try:
        machine = type("Machine", (Attempts,), {"api": loop.run_until_complete(begin()), "loop": loop})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                phases=[Phase.generate],  # a failure is told as it was found: shrinking it takes many runs
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()
