"""Projects through the API: made, read, changed, and only by whom it should be."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient
from cygnid.core import db
from cygnid.resources.projects import actions
from tests.make.api import Api
from tests.make.calls import create_project as create
from tests.make.calls import refused

REASON = "Must be alphanumeric with hyphens"


async def names(client: AsyncCygniClient, **query: Any) -> list[str]:
    return [item["name"] for item in (await client.request("GET", "/projects", query=query)).data]


async def events(api: Api, *columns: str) -> list[Any]:
    async with db.read(api.pool) as read:
        return await read.value(
            f"SELECT coalesce(json_agg({columns[0] if columns else 'type'} ORDER BY number), '[]')::jsonb FROM changes"
            " WHERE resource_type IN ('project', 'environment')"
        )


async def test_a_new_project_is_complete_and_has_production(api: Api) -> None:
    owner = await api.owner()
    answer = await owner.raw.projects.create(name="shop", labels={"team": "core"})
    made = answer.data
    assert answer.status == 201
    assert answer.headers["location"] == f"/v1/projects/{made['id']}"
    assert made["build"] == {
        "rootDir": None, "builder": "auto", "installCommand": None, "buildCommand": None, "outputDir": None,
        "releaseCommand": None, "watchPaths": [],
    }  # fmt: skip
    assert {name: made[name] for name in ("name", "teamId", "status", "labels", "framework", "url", "createdBy")} == {
        "name": "shop", "teamId": api.team_id, "status": "active", "labels": {"team": "core"}, "framework": None,
        "url": None, "createdBy": api.owner_id,
    }  # fmt: skip
    assert made["currentDeploymentId"] is made["latestDeployment"] is made["deletedAt"] is made["purgeAt"] is None
    for reference in (made["id"], "shop"):
        assert (await owner.raw.projects.get(reference)).data == made
    production = (await owner.raw.environments.get("shop", "production")).data
    assert (production["type"], production["projectId"], production["teamId"]) == (
        "production", made["id"], api.team_id,
    )  # fmt: skip
    assert await events(api) == ["project.created", "environment.created"]


@pytest.mark.parametrize(
    "name",
    ["", "-a", "a-", "a--b", "Shop", "a_b", "a.b", "shöp", "a" * 41, "a\n", " a", "api", "localhost", "www"],
)
async def test_a_name_that_is_no_host_is_refused_with_the_reason(api: Api, name: str) -> None:
    error = await refused(create(await api.owner(), name))
    assert (error.status, error.code) == (400, "validation_error")
    assert error.details["field"] == "name"
    assert error.details["reason"] == REASON


@pytest.mark.parametrize("name", ["a", "0", "a-b-c", "a" * 40])
async def test_any_host_is_a_name(api: Api, name: str) -> None:
    assert (await create(await api.owner(), name))["name"] == name


@pytest.mark.parametrize(("fields", "field"), [
    ({"labels": {f"k{number}": "" for number in range(33)}}, "labels"),
    ({"labels": {"": "x"}}, "labels."),
    ({"labels": {"k" * 64: "x"}}, f"labels.{'k' * 64}"),
    ({"labels": {"k": "x" * 256}}, "labels.k"),
    ({"labels": {"k": 1}}, "labels"),
    ({"processes": [{"type": "web"}, {"type": "web"}]}, "processes[1].type"),
    ({"processes": [{"type": "web", "cpu": 0.07}]}, "processes[0].cpu"),
    ({"processes": [{"type": "web", "cpu": 0}]}, "processes[0].cpu"),
    ({"processes": [{"type": "web", "memoryMb": 1}]}, "processes[0].memoryMb"),
    ({"processes": [{"type": "web", "port": 80}]}, "processes[0].port"),
    ({"processes": [{"type": "1st"}]}, "processes[0].type"),
    ({"processes": [{"type": "web", "autoscaling": None}]}, "processes[0].autoscaling"),
    ({"processes": [{"type": f"p{number}"} for number in range(51)]}, "processes"),
    ({"build": {"rootDir": "../up"}}, "build.rootDir"),
    ({"build": {"outputDir": "/etc"}}, "build.outputDir"),
    ({"build": {"builder": "docker"}}, "build.builder"),
    ({"build": {"buildCommand": ""}}, "build.buildCommand"),
    ({"build": {"watchPaths": ["a", "../b"]}}, "build.watchPaths[1]"),
    ({"build": {"watchPaths": [""]}}, "build.watchPaths[0]"),
    ({"build": {"watchPaths": ["a"] * 101}}, "build.watchPaths"),
    ({"framework": ""}, "framework"),
    ({"source": {"branch": "main"}}, "source.repositoryUrl"),
])  # fmt: skip
async def test_bad_fields_are_named(api: Api, fields: dict[str, Any], field: str) -> None:
    owner = await api.owner()
    await create(owner, "other")
    for asked in (create(owner, **fields), owner.request("PATCH", "/projects/other", json=fields)):
        error = await refused(asked)
        assert (error.status, error.code) == (400, "validation_error")
        assert error.details["field"].startswith(field)


@pytest.mark.parametrize("cpu", [0.05, 0.15, 0.3, 0.35, 0.7, 1, 1.05, 2.15, 63.95, 64])
async def test_every_step_of_cpu_is_taken(api: Api, cpu: float) -> None:
    await create(await api.owner(), processes=[{"type": "web", "cpu": cpu}])


async def test_a_name_is_taken_also_by_another_team_and_by_a_deleted_project(api: Api) -> None:
    owner = await api.owner()
    await create(owner)
    for client in (owner, await api.outsider()):
        error = await refused(create(client))
        assert (error.status, error.code) == (409, "name_taken")
    await owner.projects.delete("shop", confirm="shop")
    assert (await refused(create(owner))).code == "name_taken"


async def test_of_many_at_once_one_gets_the_name(api: Api) -> None:
    owner = await api.owner()
    results = await asyncio.gather(*(create(owner) for _ in range(10)), return_exceptions=True)
    taken = [result.code for result in results if isinstance(result, APIStatusError)]
    assert taken == ["name_taken"] * 9
    assert len(await names(owner)) == 1


async def test_a_repeated_create_is_done_once(api: Api) -> None:
    owner = await api.owner()
    first = await owner.raw.projects.create(name="shop", options={"idempotency_key": "k"})
    again = await owner.raw.projects.create(name="shop", options={"idempotency_key": "k"})
    assert (again.status, again.data, again.headers["idempotent-replayed"]) == (201, first.data, "true")
    other = await refused(owner.projects.create(name="other", options={"idempotency_key": "k"}))
    assert (other.status, other.code) == (422, "idempotency_key_reused")


ROUTES = [
    ("GET", "/projects/shop", None), ("PATCH", "/projects/shop", {"framework": "x"}),
    ("DELETE", "/projects/shop?confirm=shop", None), ("POST", "/projects/shop/restore", None),
    ("POST", "/projects/shop/pause", None), ("POST", "/projects/shop/resume", None),
    ("GET", "/projects/shop/environments", None), ("POST", "/projects/shop/environments", {"name": "stage"}),
    ("GET", "/projects/shop/environments/production", None),
    ("DELETE", "/projects/shop/environments/production?confirm=production", None),
    ("POST", "/projects/shop/environments/production/restore", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "data"), ROUTES)
async def test_nobody_else_sees_or_changes_it(api: Api, method: str, path: str, data: dict[str, Any] | None) -> None:
    await create(await api.owner())
    outside = await refused((await api.outsider()).request(method, path, json=data))
    unknown = await refused((await api.owner()).request(method, path.replace("shop", "none"), json=data))
    assert (outside.status, outside.code, outside.details) == (404, "not_found", {})
    assert (unknown.status, unknown.message) == (404, outside.message)
    viewer = await api.member("viewer")
    narrow = api.client(await api.token(api.owner_id, ["logs:read"]))
    if method == "GET":
        assert (await viewer.request(method, path)).status == 200
    else:
        lacking = await refused(viewer.request(method, path, json=data))
        assert (lacking.status, lacking.code) == (403, "insufficient_scope")
    by_token = await refused(narrow.request(method, path, json=data))
    assert (by_token.status, by_token.code, by_token.details["grantedScopes"]) == (
        403, "insufficient_scope", ["logs:read"],
    )  # fmt: skip


async def test_a_deploy_token_sees_its_own_project_only(api: Api) -> None:
    owner = await api.owner()
    mine, other = await create(owner, "mine"), await create(owner, "other")
    bound = api.client(await api.token(project_id=mine["id"]))
    assert (await bound.raw.projects.get("mine")).data["id"] == mine["id"]
    for asked in (
        bound.raw.projects.get(other["id"]), bound.raw.projects.list(), create(bound, "third"),
    ):  # fmt: skip
        assert (await refused(asked)).status == 403


async def test_a_team_must_be_named_where_there_are_several(api: Api) -> None:
    async with db.begin(api.pool) as tx:
        await tx.execute("UPDATE members SET team_id = team_id")
        await tx.execute(
            "INSERT INTO members (id, team_id, user_id, role_id, created_at)"
            " SELECT 'mem_x', $1, $2, role_id, created_at FROM members WHERE user_id = $2 LIMIT 1",
            api.other_team_id,
            api.owner_id,
        )
    owner = await api.owner()
    error = await refused(create(owner))
    assert (error.status, error.details["field"]) == (400, "teamId")
    assert error.details["allowed"] == sorted([api.team_id, api.other_team_id])
    assert (await create(owner, teamId=api.other_team_id))["teamId"] == api.other_team_id
    await create(owner, "mine", teamId=api.team_id)
    assert sorted(await names(owner)) == ["mine", "shop"]
    assert await names(owner, teamId=api.team_id) == ["mine"]
    assert (await refused(create(owner, "third", teamId="team_none"))).status == 404


async def test_a_list_is_filtered_and_sorted(api: Api) -> None:
    owner = await api.owner()
    await create(owner, "api-one", labels={"team": "core", "tier": "1"})
    await create(owner, "web-two", labels={"team": "core"})
    await create(owner, "web-three")
    await owner.projects.pause("web-two")
    await owner.projects.delete("web-three", confirm="web-three")
    assert await names(owner) == ["web-two", "api-one"]
    assert await names(owner, sort="name") == ["api-one", "web-two"]
    assert await names(owner, status="deleted") == ["web-three"]
    assert await names(owner, status="paused,deleted", sort="-name") == ["web-two", "web-three"]
    assert await names(owner, name="web-two") == ["web-two"]
    assert await names(owner, search="WEB") == ["web-two"]
    assert await names(owner, search="%") == []
    assert await names(owner, label="team:core", sort="name") == ["api-one", "web-two"]
    assert await names(owner, label=["team:core", "tier:1"]) == ["api-one"]
    assert (await refused(names(owner, label="team"))).details["field"] == "label[0]"
    assert (await refused(names(owner, sort="url"))).details["allowed"] == ["createdAt", "name", "updatedAt"]
    assert (await refused(names(owner, colour="red"))).code == "unknown_parameter"
    first = await owner.request("GET", "/projects", query={"limit": 1, "sort": "name"})
    assert (first.data[0]["name"], first.meta["pagination"]["total"]) == ("api-one", 2)
    rest = await names(owner, limit=1, cursor=first.meta["pagination"]["nextCursor"])
    assert rest == ["web-two"]
    assert await names(await api.outsider()) == []


async def test_a_list_is_filtered_by_time(api: Api) -> None:
    owner = await api.owner()
    for day, name in enumerate(("first", "second"), 1):
        await create(owner, name)
        async with db.begin(api.pool) as tx:
            moment = datetime(2024, 1, day, tzinfo=UTC)
            await tx.execute("UPDATE projects SET created_at = $2, updated_at = $2 WHERE name = $1", name, moment)
    assert await names(owner, since="2024-01-02") == ["second"]
    assert await names(owner, until="2024-01-02") == ["first"]
    assert await names(owner, since="2020-01-01", until="2020-01-02") == []
    assert await names(owner, since="2020-01-01T00:00:00+02:00") == ["second", "first"]
    noon = "2024-01-01T12:00:00.000Z"
    assert await names(owner, **{"updatedAt[gte]": noon}) == ["second"]
    assert await names(owner, **{"createdAt[gt]": "2024-01-01", "createdAt[lte]": "2024-01-02"}) == ["second"]
    assert await names(owner, **{"createdAt[gte]": "2024-01-01", "createdAt[lt]": noon}) == ["first"]
    for wrong in ("yesterday", "2024-13-01", "2024-01-01T00:00:00"):
        error = await refused(names(owner, since=wrong))
        assert (error.status, error.details["field"]) == (400, "since")


async def test_a_patch_merges(api: Api) -> None:
    owner = await api.owner()
    made = await create(
        owner, build={"rootDir": "app", "buildCommand": "make"}, labels={"a": "1", "b": "2"}, framework="python",
        processes=[{"type": "web"}, {"type": "worker"}],
    )  # fmt: skip
    patch = {
        "build": {"buildCommand": None, "outputDir": "out"}, "labels": {"a": None, "c": "3"}, "framework": None,
        "processes": [{"type": "web", "instances": 2}],
    }  # fmt: skip
    changed = (await owner.request("PATCH", "/projects/shop", json=patch)).data
    assert (changed["build"]["rootDir"], changed["build"]["buildCommand"], changed["build"]["outputDir"]) == (
        "app", None, "out",
    )  # fmt: skip
    assert (changed["labels"], changed["framework"]) == ({"b": "2", "c": "3"}, None)
    async with db.read(api.pool) as read:
        row = await actions.queries.view(read, made["id"])
    assert [(process.type, process.instances) for process in row.processes] == [("web", 2)]
    assert (await events(api))[-1] == "project.updated"
    assert (await owner.raw.projects.update("shop", build=None, labels=None)).data["build"] == made["build"] | {
        "rootDir": None,
        "buildCommand": None,
    }
    assert (await owner.raw.projects.get("shop")).data["labels"] == {}


async def test_a_patch_that_changes_nothing_leaves_no_trace(api: Api) -> None:
    owner = await api.owner()
    await create(owner, labels={"a": "1"})
    before = await owner.raw.projects.get("shop")
    for nothing in ({}, {"labels": {"a": "1", "b": None}}, {"name": "shop"}, {"build": {"builder": None}}):
        after = await owner.request("PATCH", "/projects/shop", json=nothing)
        assert after.headers["etag"] == before.headers["etag"]
    assert await events(api) == ["project.created", "environment.created"]


async def test_labels_have_a_limit_together(api: Api) -> None:
    owner = await api.owner()
    await create(owner, labels={f"k{number}": "" for number in range(32)})
    assert (await refused(owner.projects.update("shop", labels={"x": "1"}))).status == 400
    swapped = await owner.raw.projects.update("shop", labels={"x": "1", "k0": None})
    assert len(swapped.data["labels"]) == 32


async def test_another_name_is_another_host_at_once(api: Api) -> None:
    owner = await api.owner()
    made = await create(owner)
    await create(owner, "other")
    async with db.begin(api.pool) as tx:
        environment = await actions.queries.environment(tx, made["id"], "production")
        assert environment is not None
        await actions.set_url(tx, environment.id, api.settings.url("shop", "production"))
    taken = await refused(owner.projects.update("shop", name="other"))
    assert (taken.status, taken.code) == (409, "name_taken")
    bad = await refused(owner.projects.update("shop", name="api"))
    assert bad.details["reason"] == REASON
    renamed = (await owner.raw.projects.update("shop", name="store")).data
    assert renamed["url"] == "http://store.localhost:8001"
    assert (await refused(owner.projects.get("shop"))).status == 404
    assert (await owner.raw.projects.get("store")).data["id"] == made["id"]


async def test_a_change_of_an_old_version_is_refused(api: Api) -> None:
    owner = await api.owner()
    made = await owner.raw.projects.create(name="shop")
    seen = await owner.raw.projects.get("shop")
    assert seen.headers["etag"] == made.headers["etag"]
    # what is no setting does not move the version
    await owner.projects.pause("shop")
    changed = await owner.request(
        "PATCH", "/projects/shop", json={"framework": "python"}, headers={"If-Match": seen.headers["etag"]}
    )
    for method, data in (("PATCH", {"framework": "node"}), ("DELETE", None)):
        error = await refused(
            owner.request(
                method,
                "/projects/shop?confirm=shop" if method == "DELETE" else "/projects/shop",
                json=data,
                headers={"If-Match": seen.headers["etag"]},
            )
        )
        assert (error.status, error.details["etag"]) == (412, changed.headers["etag"])


async def test_of_changes_at_once_none_is_lost(api: Api) -> None:
    owner = await api.owner()
    await create(owner)
    await asyncio.gather(*(owner.raw.projects.update("shop", labels={f"k{number}": "x"}) for number in range(8)))
    assert len((await owner.raw.projects.get("shop")).data["labels"]) == 8


async def test_what_is_known_is_not_sent_again(api: Api) -> None:
    owner = await api.owner()
    await create(owner)
    for path in ("/projects/shop", "/projects", "/projects/shop/environments/production"):
        seen = await owner.request("GET", path)
        again = await owner.request("GET", path, headers={"If-None-Match": seen.headers["etag"]})
        assert (again.status, again.data) == (304, None)


async def test_a_text_that_cannot_be_stored_is_refused(api: Api) -> None:
    owner = await api.owner()
    assert (await refused(owner.projects.get("a%00b"))).status == 404
    assert (await refused(owner.raw.projects.list(name="a\u0000b"))).status == 400
    bad: list[dict[str, Any]] = [
        {"labels": {"a": "\0"}},
        {"labels": {"\0": "a"}},
        {"processes": [{"type": "web", "command": "\0"}]},
    ]
    for fields in bad:
        assert (await refused(create(owner, **fields))).status == 400
    await create(owner, labels={"a": "\\u0000"})
