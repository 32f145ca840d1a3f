"""What a deployment sees: pinned once, whatever changes afterwards."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cygni import AsyncCygniClient
from cygnid.core import db
from cygnid.core.access import ALL, Permission
from cygnid.core.actors import SYSTEM
from cygnid.core.ids import new_id
from cygnid.core.schemas import Warning  # noqa: A004
from cygnid.core.secrets import Secrets
from cygnid.resources.env import actions, bulk, pins, queries
from cygnid.resources.env.access import EnvAccess
from cygnid.resources.env.schemas import EnvAssignment
from cygnid.resources.projects import actions as projects
from cygnid.resources.projects.access import ProjectAccess
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow
from tests.make.api import Api
from tests.make.calls import refused
from tests.make.releases import environment_of, make_project

VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


@dataclass(kw_only=True)
class Shop:
    """A project with production, staging and a preview environment."""

    api: Api
    owner: AsyncCygniClient
    project: ProjectRow
    places: Mapping[str, EnvironmentRow]
    secrets: Secrets

    async def make(self, key: str, value: str, *environments: str, **fields: Any) -> dict[str, Any]:
        body = {"projectId": "shop", "key": key, "value": value, "environments": environments, **fields}
        return (await self.owner.request("POST", "/env", json=body)).data

    async def patch(self, variable: dict[str, Any], **fields: Any) -> None:
        await self.owner.request("PATCH", f"/env/{variable['id']}", json=fields)

    async def delete(self, variable: dict[str, Any]) -> None:
        await self.owner.request("DELETE", f"/env/{variable['id']}")

    async def get(self, variable: dict[str, Any]) -> tuple[int | None, bool]:
        data = (await self.owner.request("GET", f"/env/{variable['id']}")).data
        return data["deployedVersion"], data["pending"]

    async def pin(self, name: str = "production", like: str | None = None) -> tuple[str, list[Warning]]:
        deployment_id = new_id("dep")
        async with db.begin(self.api.pool) as tx:
            return deployment_id, await actions.pin(tx, self.places[name], deployment_id, like=like)

    async def deploy(self, name: str = "production") -> str:
        deployment_id, _ = await self.pin(name)
        async with db.begin(self.api.pool) as tx:
            await projects.set_current(tx, self.places[name].id, deployment_id)
        return deployment_id

    async def seen(self, deployment_id: str, target: Any = "runtime") -> dict[str, str]:
        async with db.read(self.api.pool) as read:
            return {row.key: row.value for row in await queries.pinned(read, self.secrets, deployment_id, target)}

    async def pending(self, name: str = "production") -> bool:
        async with db.read(self.api.pool) as read:
            place = await environment_of(self.api.pool, self.project, name)
            return await queries.is_pending(read, place)

    async def masked(self) -> frozenset[str]:
        async with db.read(self.api.pool) as read:
            return await queries.secret_values(read, self.secrets, self.project.id)

    def access(self, permissions: frozenset[Permission] = ALL) -> ProjectAccess:
        return ProjectAccess(actor=SYSTEM, team_id=self.api.team_id, permissions=permissions, project=self.project)


@pytest.fixture
async def shop(api: Api) -> Shop:
    owner = await api.owner()
    project = await make_project(api.pool, api.team_id)
    for name, kind in (("staging", "custom"), ("pr-1", "preview"), ("pr-2", "preview")):
        await owner.request("POST", "/projects/shop/environments", json={"name": name, "type": kind})
    names = ("production", "staging", "pr-1", "pr-2")
    places = {name: await environment_of(api.pool, project, name) for name in names}
    return Shop(api=api, owner=owner, project=project, places=places, secrets=Secrets(api.settings.key()))


async def test_changes_come_with_the_next_deployment(shop: Shop) -> None:
    one = await shop.make("A", "one", "production")
    first = await shop.deploy()
    await shop.patch(one, value="two")
    added = await shop.make("B", "b", "production")
    assert await shop.seen(first) == {"A": "one"}
    assert await shop.get(one) == (1, True)
    assert await shop.get(added) == (None, True)
    assert await shop.pending()
    second = await shop.deploy()
    assert await shop.seen(second) == {"A": "two", "B": "b"}
    assert await shop.seen(first) == {"A": "one"}
    assert await shop.get(one) == (2, False)
    assert not await shop.pending()
    await shop.patch(one, comment="nothing that a process sees")
    assert await shop.get(one) == (2, False)
    await shop.delete(added)
    assert await shop.pending()
    assert await shop.seen(second) == {"A": "two", "B": "b"}, "it may have to start again"


async def test_pinning_again_changes_nothing(shop: Shop) -> None:
    empty, _ = await shop.pin()
    one = await shop.make("A", "one", "production")
    pinned, _ = await shop.pin()
    await shop.patch(one, value="two")
    async with db.begin(shop.api.pool) as tx:
        await actions.pin(tx, shop.places["production"], empty)
        await actions.pin(tx, shop.places["production"], pinned)
    assert await shop.seen(empty) == {}
    assert await shop.seen(pinned) == {"A": "one"}


async def test_what_is_deleted_meanwhile_is_pinned_or_not(shop: Shop) -> None:
    """Never half: a pin without its version."""
    for _ in range(8):
        made = [await shop.make(key, key, "production") for key in "ABC"]
        answers = await asyncio.gather(
            *(shop.delete(variable) for variable in made), *(shop.pin() for _ in range(3)), return_exceptions=True
        )
        assert [answer for answer in answers if isinstance(answer, BaseException)] == []


async def test_builds_and_processes_see_their_own(shop: Shop) -> None:
    for target in ("build", "runtime", "both"):
        await shop.make(target.upper(), target, "production", target=target)
    deployment_id, _ = await shop.pin()
    assert await shop.seen(deployment_id, "build") == {"BOTH": "both", "BUILD": "build"}
    assert await shop.seen(deployment_id, "runtime") == {"BOTH": "both", "RUNTIME": "runtime"}


async def test_preview_covers_all_and_a_name_wins(shop: Shop) -> None:
    general = await shop.make("A", "all", "preview")
    await shop.make("A", "own", "pr-1", "production")
    await shop.make("B", "all", "preview")
    own, other = await shop.deploy("pr-1"), await shop.deploy("pr-2")
    production, staging = await shop.deploy(), await shop.deploy("staging")
    assert await shop.seen(own) == {"A": "own", "B": "all"}
    assert await shop.seen(other) == {"A": "all", "B": "all"}
    assert await shop.seen(production) == {"A": "own"}
    assert await shop.seen(staging) == {}
    await shop.patch(general, value="new")
    assert await shop.get(general) == (1, True)
    assert [await shop.pending(name) for name in ("pr-1", "pr-2")] == [False, True]
    await shop.deploy("pr-2")
    assert await shop.get(general) == (2, False), "pr-1 has one of its own"


async def test_a_rollback_takes_the_old_set(shop: Shop) -> None:
    kept = await shop.make("KEPT", "1", "production")
    gone = await shop.make("GONE", "1", "production", "staging")
    again = await shop.make("AGAIN", "1", "production")
    left = await shop.make("LEFT", "1", "production", "staging")
    await shop.make("SAME", "1", "production")
    first = await shop.deploy()
    await shop.patch(kept, value="2")
    await shop.delete(gone)
    await shop.delete(again)
    await shop.make("AGAIN", "2", "production")
    await shop.patch(left, environments=["staging"])
    await shop.make("NEW", "2", "production")
    back, warnings = await shop.pin(like=first)
    assert await shop.seen(back) == {"KEPT": "1", "AGAIN": "2", "SAME": "1"}
    assert {warning.path for warning in warnings} == {"env.KEPT", "env.GONE", "env.LEFT", "env.NEW"}
    assert {warning.code for warning in warnings} == {"env_differs"}
    async with db.read(shop.api.pool) as read:
        assert await pins.differing(read, shop.places["production"], first) == warnings
    assert await shop.seen(first) == {"KEPT": "1", "AGAIN": "1", "GONE": "1", "LEFT": "1", "SAME": "1"}


async def test_a_deleted_secret_is_kept_only_where_it_runs(shop: Shop) -> None:
    used = await shop.make("USED", "first-value", "production")
    await shop.patch(used, value="second-value")
    await shop.pin()
    await shop.patch(used, value="third-value")
    never = await shop.make("NEVER", "never-pinned", "production")
    assert await shop.masked() == {"never-pinned", "first-value", "second-value", "third-value"}
    await shop.delete(never)
    await shop.delete(used)
    assert await shop.masked() == {"second-value"}
    assert (await refused(shop.get(used))).status == 404


async def test_what_is_masked(shop: Shop) -> None:
    await shop.make("A", "plain-value", "production", type="plain")
    await shop.make("B", "short", "production")
    await shop.make("C", "line one is long\n  line two too  \nx\n", "production", type="file")
    assert await shop.masked() == {"line one is long\n  line two too  \nx\n", "line one is long", "line two too"}


async def test_a_clone_has_copies_and_secrets_only_for_who_may_reveal(shop: Shop) -> None:
    await shop.make("A", "plain", "production", type="plain", target="build")
    await shop.make("B", "secret", "production")
    production, copied = shop.places["production"], {}
    for name, permissions in (("staging", ALL), ("pr-1", ALL - {Permission.ENV_REVEAL})):
        async with db.begin(shop.api.pool) as tx:
            copied[name] = await actions.copy(
                tx,
                shop.secrets,
                shop.access(permissions),
                production,
                shop.places[name],
                may_reveal=Permission.ENV_REVEAL in permissions,
            )
    seen = {name: await shop.seen((await shop.pin(name))[0], "build") for name in ("staging", "pr-1")}
    assert seen == {"staging": {"A": "plain", "B": "secret"}, "pr-1": {"A": "plain", "B": ""}}
    assert copied["staging"] == []
    assert [(warning.code, warning.path) for warning in copied["pr-1"]] == [("secret_not_copied", "env.B")]


async def test_a_purged_environment_takes_its_entries_along(shop: Shop) -> None:
    shared = await shop.make("A", "1", "production", "staging")
    await shop.pin("staging")
    async with db.begin(shop.api.pool) as tx:
        await projects.purge_environment(tx, shop.places["staging"].id)
    data = (await shop.owner.request("GET", f"/env/{shared['id']}")).data
    assert data["environments"] == ["production"]


async def test_a_purged_project_leaves_nothing(shop: Shop) -> None:
    await shop.make("A", "1", "production")
    await shop.deploy()
    async with db.begin(shop.api.pool) as tx:
        await projects.purge_project(tx, shop.project.id)
        for table in ("env_variables", "env_versions", "env_entries", "env_pin_sets", "env_pins"):
            assert await tx.value(f"SELECT count(*) FROM {table}") == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(values=st.dictionaries(st.sampled_from("ABCDEFG"), VALUES, min_size=1))
async def test_bytes_in_are_bytes_out(shop: Shop, values: dict[str, str]) -> None:
    access = EnvAccess(**vars(shop.access()), entry="production", environment=shop.places["production"])
    wanted: Sequence[EnvAssignment] = [EnvAssignment(key=key, value=value) for key, value in values.items()]
    async with db.begin(shop.api.pool) as tx:
        await bulk.set_all(tx, shop.secrets, access, wanted, prune=True)
    deployment_id, _ = await shop.pin()
    assert await shop.seen(deployment_id) == values
