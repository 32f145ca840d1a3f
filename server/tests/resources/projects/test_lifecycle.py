"""Paused, deleted, restored, purged."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from cygnid.core import clock, db
from cygnid.resources.instances.actions import want
from cygnid.resources.projects import queries, tasks
from tests.make.api import Api
from tests.make.calls import create_project, refused
from tests.make.releases import environment_of, release_of

CONFIRMED = "/projects/shop?confirm=shop"


class Clock:
    def __init__(self) -> None:
        self.now = clock.now()

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time() -> Iterator[Clock]:
    made = Clock()
    clock.set_clock(made)
    yield made
    clock.set_clock(None)


class Machine:
    """What is asked of runtime and builder, in order; the first `fails` of them fail."""

    def __init__(self, fails: int = 0) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fails = fails
        self.builder = SimpleNamespace(remove_environment=self._remove_cache, remove_project=self.remove_project)

    async def remove_environment(self, environment_id: str, *, term: int) -> None:
        assert term == 7
        self._ask("environment", environment_id)

    async def remove_project(self, project_id: str) -> None:
        self._ask("project", project_id)

    async def _remove_cache(self, project_id: str, environment_id: str) -> None:
        self._ask(f"cache of {project_id}", environment_id)

    async def remove(self, project_id: str) -> None:
        self._ask("repository", project_id)

    def _ask(self, what: str, name: str) -> None:
        self.asked.append((what, name))
        if self.fails:
            self.fails -= 1
            raise OSError("the disk is away")


async def purge(api: Api, machine: Machine) -> None:
    await tasks.purge_deleted(
        SimpleNamespace(pool=api.pool, runtime=machine, builder=machine.builder, repositories=machine, term=lambda: 7)
    )


async def owners(api: Api) -> set[str]:
    """Who has a user of the machine."""
    async with db.read(api.pool) as read:
        return set(await read.value("SELECT coalesce(array_agg(owner), '{}') FROM uid_numbers"))


async def types(api: Api) -> list[str]:
    async with db.read(api.pool) as read:
        return await read.value("SELECT array_agg(type ORDER BY number) FROM changes WHERE project_id IS NOT NULL")


async def test_pause_and_resume_are_done_once(api: Api) -> None:
    owner = await api.owner()
    await create_project(owner)
    first = await owner.raw.projects.pause("shop")
    again = await owner.raw.projects.pause("shop")
    assert (first.status, first.data["status"], again.data) == (202, "paused", first.data)
    assert first.data["pausedAt"] is not None
    for _ in range(2):
        resumed = await owner.raw.projects.resume("shop")
        assert (resumed.status, resumed.data["status"], resumed.data["pausedAt"]) == (202, "active", None)
    assert (await types(api))[2:] == ["project.paused", "project.resumed"]


@pytest.mark.parametrize("query", ["", "?confirm=", "?confirm=other", "?confirm=SHOP"])
async def test_a_deletion_takes_the_name(api: Api, query: str) -> None:
    owner = await api.owner()
    await create_project(owner)
    error = await refused(owner.request("DELETE", f"/projects/shop{query}"))
    assert (error.status, error.details["field"]) == (400, "confirm")
    assert (await owner.raw.projects.get("shop")).data["status"] == "active"


async def test_a_deleted_project_comes_back_as_it_was(api: Api, time: Clock) -> None:
    owner = await api.owner()
    made = await create_project(owner, labels={"a": "1"})
    await owner.projects.pause("shop")
    gone = await owner.raw.projects.delete("shop", confirm="shop")
    assert (gone.status, gone.data["status"]) == (202, "deleted")
    assert gone.data["purgeAt"] == clock.text(time.now + timedelta(days=7))
    assert gone.data["deletedAt"] == clock.text(time.now)
    time.now += timedelta(days=6)
    again = await owner.raw.projects.delete(made["id"], confirm="shop")
    assert (again.status, again.data) == (202, gone.data)
    assert (await owner.raw.projects.get("shop")).data == gone.data
    assert (await owner.raw.projects.list()).data == []
    for method, path, data in (
        ("PATCH", "/projects/shop", {"framework": "x"}), ("POST", "/projects/shop/pause", None),
        ("POST", "/projects/shop/resume", None), ("POST", "/projects/shop/environments", {"name": "stage"}),
        ("DELETE", "/projects/shop/environments/production?confirm=production", None),
    ):  # fmt: skip
        error = await refused(owner.request(method, path, json=data))
        assert (error.status, error.code) == (409, "invalid_state")
    for _ in range(2):
        back = await owner.raw.projects.restore("shop")
        assert (back.status, back.data["status"], back.data["labels"]) == (200, "paused", {"a": "1"})
        assert back.data["deletedAt"] is back.data["purgeAt"] is None
    assert (await types(api))[2:] == ["project.paused", "project.deleted", "project.restored"]


async def test_who_may_write_may_not_delete(api: Api) -> None:
    owner, developer = await api.owner(), await api.member("developer")
    await create_project(developer)
    assert (await refused(developer.projects.delete("shop", confirm="shop"))).status == 403
    await owner.projects.delete("shop", confirm="shop")
    assert (await refused(developer.projects.restore("shop"))).status == 403


async def test_an_environment_is_made_deleted_and_restored(api: Api) -> None:
    owner = await api.owner()
    project = await create_project(owner)
    path = "/projects/shop/environments"
    made = await owner.request("POST", path, json={"name": "stage"})
    assert (made.status, made.data["type"], made.data["createdBy"]) == (201, "custom", api.owner_id)
    assert made.headers["location"] == f"/v1/projects/{project['id']}/environments/stage"
    seen = await owner.request("GET", f"{path}/stage")
    assert (seen.data, seen.headers["etag"]) == (made.data, made.headers["etag"])
    await owner.request("POST", path, json={"name": "pr-1", "type": "preview"})
    assert [item["name"] for item in (await owner.request("GET", path)).data] == ["production", "stage", "pr-1"]
    taken = await refused(owner.request("POST", path, json={"name": "stage"}))
    assert (taken.status, taken.code) == (409, "name_taken")
    stale = await refused(owner.request("DELETE", f"{path}/stage?confirm=stage", if_match='"AAAAAAAAAAAAAAAAAAAAAA.9"'))
    assert (stale.status, stale.details["etag"]) == (412, made.headers["etag"])
    assert (await refused(owner.request("DELETE", f"{path}/stage"))).details["field"] == "confirm"
    for _ in range(2):
        gone = await owner.request("DELETE", f"{path}/stage?confirm=stage", if_match=made.headers["etag"])
        assert (gone.status, gone.data["deletedAt"] is None, gone.data["purgeAt"] is None) == (202, False, False)
    assert (await refused(owner.request("GET", f"{path}/stage"))).status == 404
    assert [item["name"] for item in (await owner.request("GET", path)).data] == ["production", "pr-1"]
    assert (await refused(owner.request("POST", path, json={"name": "stage"}))).code == "name_taken"
    for _ in range(2):
        back = await owner.request("POST", f"{path}/stage/restore")
        assert (back.status, back.data["deletedAt"]) == (200, None)
    assert (await types(api))[2:] == [
        "environment.created", "environment.created", "environment.deleted", "environment.restored",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "Stage", "a--b", "-a", "a" * 22, "a.b"])
async def test_an_environment_is_named_as_a_host(api: Api, name: str) -> None:
    owner = await api.owner()
    await create_project(owner)
    error = await refused(owner.environments.create("shop", name=name))
    assert (error.status, error.details["reason"]) == (400, "Must be alphanumeric with hyphens")


async def test_a_project_keeps_its_production(api: Api) -> None:
    owner = await api.owner()
    await create_project(owner)
    error = await refused(owner.environments.delete("shop", "production", confirm="production"))
    assert (error.status, error.code) == (409, "invalid_state")
    assert (await refused(owner.environments.get("shop", "none"))).status == 404


async def test_a_deploy_token_of_one_environment_stays_there(api: Api) -> None:
    owner = await api.owner()
    project = await create_project(owner)
    await owner.environments.create("shop", name="stage")
    secret = await api.token(project_id=project["id"])
    async with db.begin(api.pool) as tx:
        await tx.execute("UPDATE tokens SET environment = 'stage' WHERE kind = 'deploy'")
    bound = api.client(secret)
    assert (await bound.raw.environments.get("shop", "stage")).status == 200
    assert (await bound.raw.projects.get("shop")).status == 200
    for method, path, data in (
        ("GET", "/projects/shop/environments/production", None), ("POST", "/projects/shop/pause", None),
        ("POST", "/projects/shop/environments", {"name": "more"}), ("DELETE", CONFIRMED, None),
    ):  # fmt: skip
        assert (await refused(bound.request(method, path, json=data))).status == 403


async def test_what_is_past_its_time_cannot_be_restored_and_is_purged(api: Api, time: Clock) -> None:
    owner = await api.owner()
    kept = await create_project(owner, "kept")
    project = await create_project(owner)
    stage = (await owner.raw.environments.create("shop", name="stage")).data
    production = (await owner.raw.environments.get("shop", "production")).data
    before = await owners(api)
    assert {project["id"], stage["id"], production["id"]} <= before
    await owner.projects.delete("shop", confirm="shop")
    machine = Machine()
    time.now += timedelta(days=7)
    await purge(api, machine)
    assert machine.asked == []  # a restore that began in time may not have ended
    error = await refused(owner.projects.restore("shop"))
    assert (error.status, error.code) == (410, "gone")
    time.now += timedelta(minutes=2)
    for _ in range(2):
        await purge(api, machine)
    ids = sorted([stage["id"], production["id"]])
    of_project = [("project", project["id"]), ("repository", project["id"])]
    assert machine.asked == [*(("environment", name) for name in ids), *of_project]
    assert await owners(api) == before - {project["id"], stage["id"], production["id"]}
    for method, path in (("GET", "/projects/shop"), ("POST", "/projects/shop/restore"), ("DELETE", CONFIRMED)):
        assert (await refused(owner.request(method, path))).status == 404
    assert [item["id"] for item in (await owner.raw.projects.list()).data] == [kept["id"]]
    assert (await create_project(owner))["id"] != project["id"]


async def test_a_purge_that_fails_is_done_again_and_loses_nothing(api: Api, time: Clock) -> None:
    owner = await api.owner()
    project = await create_project(owner)
    before = await owners(api)
    await owner.projects.delete("shop", confirm="shop")
    time.now += timedelta(days=8)
    machine = Machine(fails=2)
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            await purge(api, machine)
        assert await owners(api) == before
    await purge(api, machine)
    assert machine.asked[-2:] == [("project", project["id"]), ("repository", project["id"])]
    assert await owners(api) == set()


async def test_an_environment_alone_is_purged(api: Api, time: Clock) -> None:
    owner = await api.owner()
    await create_project(owner)
    path = "/projects/shop/environments"
    stage = (await owner.request("POST", path, json={"name": "stage"})).data
    await owner.request("DELETE", f"{path}/stage?confirm=stage")
    time.now += timedelta(days=8)
    assert (await refused(owner.request("POST", f"{path}/stage/restore"))).status == 410
    machine = Machine()
    await purge(api, machine)
    project_id = (await owner.raw.projects.get("shop")).data["id"]
    assert machine.asked == [("environment", stage["id"]), (f"cache of {project_id}", stage["id"])]
    assert stage["id"] not in await owners(api)
    assert (await refused(owner.request("POST", f"{path}/stage/restore"))).status == 404
    assert (await owner.request("POST", path, json={"name": "stage"})).data["id"] != stage["id"]


async def test_nothing_is_purged_while_something_of_it_is_on_the_machine(api: Api, time: Clock) -> None:
    owner = await api.owner()
    made: dict[str, Any] = await create_project(owner)
    async with db.read(api.pool) as read:
        project = await queries.project(read, made["id"])
    assert project is not None
    environment = await environment_of(api.pool, project)
    async with db.begin(api.pool) as tx:
        await want(tx, await release_of(tx, project, environment))
    await owner.projects.delete("shop", confirm="shop")
    time.now += timedelta(days=8)
    machine = Machine()
    await purge(api, machine)
    assert machine.asked == []
    async with db.begin(api.pool) as tx:
        await tx.execute("UPDATE instances SET forgotten_at = now()")
    await purge(api, machine)
    assert machine.asked == [("environment", environment.id), ("project", project.id), ("repository", project.id)]
