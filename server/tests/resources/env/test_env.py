"""Variables through the API: made, read, changed, and only by whom it should be."""

import asyncio
from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.core import db
from cygnid.core.actors import SYSTEM
from cygnid.resources.tokens.actions import NewToken, issue
from tests.make.api import Api
from tests.make.calls import create_project, refused

VALUE = "hunter2-hunter2"
PRODUCTION = ("production",)


async def make(client: AsyncCygniClient, key: str = "A", value: str = VALUE, **fields: Any) -> dict[str, Any]:
    body = {"projectId": "shop", "key": key, "value": value, "environments": PRODUCTION, **fields}
    return (await client.request("POST", "/env", json=body)).data


async def patch(client: AsyncCygniClient, variable: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return (await client.request("PATCH", f"/env/{variable['id']}", json=fields)).data


async def reveal(client: AsyncCygniClient, variable: dict[str, Any], reason: str = "why not") -> Any:
    return await client.raw.env.reveal(variable["id"], reason=reason)


async def environment(client: AsyncCygniClient, name: str, kind: str = "custom") -> None:
    await client.environments.create("shop", name=name, type=kind)


async def keys(client: AsyncCygniClient, **query: Any) -> list[str]:
    found = await client.request("GET", "/env", query={"projectId": "shop", **query})
    return [item["key"] for item in found.data]


@pytest.fixture
async def owner(api: Api) -> AsyncCygniClient:
    client = await api.owner()
    await create_project(client, "shop")
    return client


async def test_a_secret_is_kept_and_not_shown(api: Api, owner: AsyncCygniClient) -> None:
    body = {"projectId": "shop", "key": "A", "value": VALUE, "environments": ["production"]}
    answer = await owner.request("POST", "/env", json=body)
    made = answer.data
    assert (answer.status, answer.headers["location"]) == (201, f"/v1/env/{made['id']}")
    assert answer.headers["etag"].endswith('.1"')
    project = (await owner.raw.projects.get("shop")).data
    assert {name: made[name] for name in made if not name.endswith("At")} == {
        "id": made["id"], "teamId": api.team_id, "projectId": project["id"], "key": "A", "value": None,
        "environments": ["production"], "type": "secret", "target": "both", "comment": None, "version": 1,
        "deployedVersion": None, "pending": False, "updatedBy": api.owner_id, "createdBy": api.owner_id,
    }  # fmt: skip
    assert (await owner.raw.env.get(made["id"])).data == made
    assert (await owner.request("GET", "/env", query={"projectId": project["id"]})).data == [made]
    async with db.read(api.pool) as read:
        dump = await read.value(
            """SELECT (SELECT json_agg(v)::text FROM env_versions v) || (SELECT json_agg(c)::text FROM changes c)
                || coalesce((SELECT json_agg(i)::text FROM idempotency i), '')"""
        )
    assert "env.created" in dump
    assert VALUE not in dump
    assert VALUE.encode().hex() not in dump


async def test_a_plain_value_is_for_who_may_read(api: Api, owner: AsyncCygniClient) -> None:
    made = await make(owner, type="plain", target="build", comment="for all")
    assert (made["value"], made["target"], made["comment"]) == (VALUE, "build", "for all")
    writer = api.client(await api.token(api.owner_id, ["env:write"]))
    assert (await patch(writer, made, comment=None))["value"] is None
    assert (await make(writer, "B", type="plain"))["value"] is None


@pytest.mark.parametrize(("fields", "field"), [
    ({"key": ""}, "key"),
    ({"key": "1A"}, "key"),
    ({"key": "A-B"}, "key"),
    ({"key": "A\n"}, "key"),
    ({"key": "É"}, "key"),
    ({"key": "A=B"}, "key"),
    ({"key": "A" * 256}, "key"),
    ({"key": "PORT"}, "key"),
    ({"key": "CYGNI_DATA_DIR"}, "key"),
    ({"key": None}, "key"),
    ({"value": None}, "value"),
    ({"value": 1}, "value"),
    ({"value": "é" * 32769}, "value"),
    ({"value": "a" * 65537}, "value"),
    ({"value": "a\0b"}, None),
    ({"environments": []}, "environments"),
    ({"environments": "production"}, "environments"),
    ({"environments": ["production", "nowhere"]}, "environments[1]"),
    ({"environments": ["../production"]}, "environments[0]"),
    ({"type": "public"}, "type"),
    ({"target": "all"}, "target"),
    ({"comment": "c" * 501}, "comment"),
    ({"id": "env_1"}, "id"),
    ({"projectId": None}, "projectId"),
])  # fmt: skip
async def test_bad_input_is_refused(owner: AsyncCygniClient, fields: dict[str, Any], field: str | None) -> None:
    error = await refused(make(owner, **fields))
    assert (error.status, error.code) == (400, "validation_error")
    assert error.details.get("field") == field
    assert await keys(owner) == []


async def test_a_lone_surrogate_is_refused(api: Api, owner: AsyncCygniClient) -> None:
    body = '{"projectId":"shop","key":"A","value":"\\ud800","environments":["production"]}'
    error = await refused(
        owner.request("POST", "/env", content=body.encode(), headers={"Content-Type": "application/json"})
    )
    assert error.status == 400


@pytest.mark.parametrize("value", ["", "a" * 65536, "é" * 32768, " ", "\r\n\t", "🦢", "$A ${B} `c` \\ ' \"", "\x01"])
async def test_any_value_comes_back(owner: AsyncCygniClient, value: str) -> None:
    answer = await reveal(owner, await make(owner, value=value))
    assert answer.data["value"] == value


async def test_a_key_has_one_variable_in_each_environment(owner: AsyncCygniClient) -> None:
    await environment(owner, "staging")
    made = await make(owner)
    for environments in (["production"], ["staging", "production"]):
        error = await refused(make(owner, environments=environments))
        assert (error.status, error.code) == (409, "conflict")
        assert error.details == {"environment": "production", "resourceId": made["id"]}
    other = await make(owner, environments=["staging", "preview", "staging"])
    assert other["environments"] == ["preview", "staging"]
    assert (await refused(patch(owner, made, environments=["production", "staging"]))).code == "conflict"
    await patch(owner, other, environments=["preview"])
    assert (await patch(owner, made, environments=["staging", "production"]))["environments"] == [
        "production", "staging",
    ]  # fmt: skip


async def test_of_many_at_once_one_wins(owner: AsyncCygniClient) -> None:
    answers = await asyncio.gather(*(make(owner) for _ in range(6)), return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    assert [error.code for error in errors] == ["conflict"] * 5  # type: ignore[attr-defined]
    made = (await owner.raw.env.list(project_id="shop")).data
    assert len(made) == 1
    await asyncio.gather(*(patch(owner, made[0], value=f"value {number}") for number in range(6)))
    found = (await owner.raw.env.versions(made[0]["id"])).data
    assert [item["version"] for item in found] == [7, 6, 5, 4, 3, 2, 1]


async def test_a_change_is_a_version_where_processes_see_it(owner: AsyncCygniClient) -> None:
    made = await make(owner, type="plain", value="one")
    for fields, version in (
        ({"value": "two"}, 2), ({"value": "two"}, 2), ({}, 2), ({"comment": "c"}, 2), ({"target": "build"}, 3),
        ({"type": "secret"}, 4), ({"environments": ["preview"]}, 4), ({"value": "one"}, 5),
    ):  # fmt: skip
        assert (await patch(owner, made, **fields))["version"] == version, fields
    versions = (await owner.raw.env.versions(made["id"])).data
    hashes = {item["version"]: item["valueHash"] for item in versions}
    assert hashes[1] == hashes[5] != hashes[2] == hashes[3] == hashes[4]
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in hashes.values())
    await create_project(owner, "other")
    same = await make(owner, projectId="other", value="one")
    theirs = (await owner.raw.env.versions(same["id"])).data[0]["valueHash"]
    assert theirs != hashes[1], "a hash says nothing about another project"


async def test_what_was_hidden_never_becomes_plain(owner: AsyncCygniClient) -> None:
    for kind, key in (("secret", "A"), ("file", "B")):
        made = await make(owner, key, type=kind)
        error = await refused(patch(owner, made, type="plain", value="x"))
        assert (error.status, error.code) == (409, "invalid_state")
        assert (await patch(owner, made, type="file"))["type"] == "file"
    plain = await make(owner, "C", type="plain")
    assert (await patch(owner, plain, type="secret"))["value"] is None
    assert (await refused(patch(owner, plain, type="plain"))).status == 409


@pytest.mark.parametrize("fields", [
    {"value": None}, {"value": "a" * 65537}, {"environments": []}, {"environments": ["nowhere"]}, {"key": "B"},
    {"type": None}, {"target": "x"}, {"version": 3},
])  # fmt: skip
async def test_a_bad_patch_changes_nothing(owner: AsyncCygniClient, fields: dict[str, Any]) -> None:
    made = await make(owner)
    assert (await refused(patch(owner, made, **fields))).status == 400
    assert (await owner.raw.env.get(made["id"])).data == made


async def test_who_read_another_version_is_told(owner: AsyncCygniClient) -> None:
    made = await make(owner)
    path = f"/env/{made['id']}"
    read = (await owner.request("GET", path)).headers["etag"]
    changed = await owner.request("PATCH", path, json={"comment": "new"}, headers={"If-Match": read})
    for method, where, body in (
        ("PATCH", path, {"value": "x"}), ("POST", f"{path}/rollback", {"version": 1}), ("DELETE", path, None),
    ):  # fmt: skip
        error = await refused(owner.request(method, where, json=body, headers={"If-Match": read}))
        assert (error.status, error.details["etag"]) == (412, changed.headers["etag"])
    await owner.request("DELETE", path, headers={"If-Match": changed.headers["etag"]})
    assert (await refused(owner.request("GET", path))).status == 404


async def test_a_rollback_is_a_new_version_with_the_old_value(owner: AsyncCygniClient) -> None:
    made = await make(owner, value="one")
    await patch(owner, made, value="two", target="runtime")
    back = (await owner.raw.env.rollback(made["id"], version=1)).data
    assert (back["version"], back["target"]) == (3, "runtime")
    assert (await reveal(owner, made)).data == {"id": made["id"], "key": "A", "value": "one", "version": 3}
    for version, status in ((9, 404), (0, 400), (-1, 400), ("1", 400), (2**31, 400)):
        asked = owner.raw.env.rollback(made["id"], version=version)
        assert (await refused(asked)).status == status


async def test_revealing_needs_a_reason_and_is_kept(api: Api, owner: AsyncCygniClient) -> None:
    made = await make(owner)
    for reason in ("", "   ", "r" * 201, None):
        asked = owner.raw.env.reveal(made["id"], reason=reason)
        assert (await refused(asked)).details["field"] == "reason"
    key = {"Idempotency-Key": "one-and-only"}
    path = f"/env/{made['id']}/reveal"
    for _ in range(2):
        answer = await owner.request("POST", path, json={"reason": "look into it"}, headers=key)
        assert answer.data["value"] == VALUE
        assert answer.headers["cache-control"] == "no-store"
        assert "idempotent-replayed" not in answer.headers
    async with db.read(api.pool) as read:
        rows = await read.value(
            "SELECT json_agg(json_build_array(type, reason, resource_name, actor_id) ORDER BY number)::jsonb"
            " FROM changes WHERE type = 'env.revealed'"
        )
    assert rows == [["env.revealed", "look into it", "A", api.owner_id]] * 2


async def test_lists_are_filtered(owner: AsyncCygniClient) -> None:
    await environment(owner, "staging", "preview")
    await make(owner, "A", environments=["production", "preview"])
    await make(owner, "B", environments=["preview"], type="plain")
    await make(owner, "B", environments=["staging"], type="file")
    assert await keys(owner) == ["A", "B", "B"]
    assert await keys(owner, environment="production") == ["A"]
    assert await keys(owner, environment="preview") == ["A", "B"]
    assert await keys(owner, environment="staging") == ["A", "B"]
    assert await keys(owner, environment="staging", type="file,plain") == ["B"]
    assert await keys(owner, key="B", type="plain") == ["B"]
    assert await keys(owner, pending="true") == []
    assert await keys(owner, sort="-createdAt", limit=1) == ["B"]
    for query, status in (({"environment": "nowhere"}, 404), ({"type": "x"}, 400), ({"value": "x"}, 400)):
        assert (await refused(keys(owner, **query))).status == status
    assert (await refused(owner.request("GET", "/env"))).details["field"] == "projectId"


async def test_everything_is_recorded_without_values(api: Api, owner: AsyncCygniClient) -> None:
    made = await make(owner, type="plain", value="first-value")
    await patch(owner, made, value="second-value", comment="c")
    await owner.env.delete(made["id"])
    async with db.read(api.pool) as read:
        rows = await read.value(
            """SELECT json_agg(json_build_array(type, before::json, after::json, data::json, resource_type)
                ORDER BY number)::jsonb FROM changes WHERE type LIKE 'env.%'"""
        )
    base = {"key": "A", "environments": ["production"]}
    after = {"value": "***", "environments": ["production"], "type": "plain", "target": "both"}
    assert rows == [
        ["env.created", None, after, base | {"version": 1}, "envVariable"],
        ["env.updated", {"value": "***", "comment": None}, {"value": "***", "comment": "c"}, base | {"version": 2},
         "envVariable"],
        ["env.deleted", None, None, base | {"version": 2}, "envVariable"],
    ]  # fmt: skip


async def test_the_other_team_sees_nothing(api: Api, owner: AsyncCygniClient) -> None:
    made, other = await make(owner), await api.outsider()
    path = f"/env/{made['id']}"
    body = {"projectId": made["projectId"], "environment": "production"}
    for method, where, json in (
        ("GET", path, None), ("PATCH", path, {}), ("DELETE", path, None), ("GET", f"{path}/versions", None),
        ("POST", f"{path}/reveal", {"reason": "r"}), ("POST", f"{path}/rollback", {"version": 1}),
        ("GET", f"/env?projectId={made['projectId']}", None), ("PUT", "/env/bulk", {**body, "variables": []}),
        ("POST", "/env/import", {**body, "content": ""}), ("POST", "/env/export", {**body, "reason": "r"}),
        ("POST", "/env", {"projectId": made["projectId"], "key": "B", "value": "", "environments": ["production"]}),
        ("GET", "/env/env_nothing", None),
    ):  # fmt: skip
        assert (await refused(other.request(method, where, json=json))).status == 404, (method, where)
    assert await keys(owner) == ["A"]


async def test_who_may_what(api: Api, owner: AsyncCygniClient) -> None:
    made = await make(owner)
    path, body = f"/env/{made['id']}", {"projectId": "shop", "environment": "production"}
    developer, viewer, auditor = [await api.member(role) for role in ("developer", "viewer", "auditor")]
    assert (await developer.request("GET", path)).data["id"] == made["id"]
    await patch(developer, made, comment="mine")
    for client, method, where, json, scope in (
        (developer, "POST", f"{path}/reveal", {"reason": "r"}, "env:reveal"),
        (developer, "POST", "/env/export", {**body, "reason": "r"}, "env:reveal"),
        (viewer, "GET", path, None, "env:read"),
        (auditor, "GET", "/env?projectId=shop", None, "env:read"),
        (auditor, "GET", f"{path}/versions", None, "env:read"),
        (viewer, "PATCH", path, {}, "env:write"),
        (viewer, "DELETE", path, None, "env:write"),
        (viewer, "PUT", "/env/bulk", {**body, "variables": []}, "env:write"),
        (viewer, "POST", "/env/import", {**body, "content": ""}, "env:write"),
        (viewer, "POST", f"{path}/rollback", {"version": 1}, "env:write"),
    ):
        error = await refused(client.request(method, where, json=json))
        assert (error.status, error.details.get("requiredScopes")) == (403, [scope]), (method, where)


async def test_a_token_of_one_environment_stays_there(api: Api, owner: AsyncCygniClient) -> None:
    await environment(owner, "staging")
    project_id = (await owner.raw.projects.get("shop")).data["id"]
    own = await make(owner, "OWN", environments=["staging"])
    shared = await make(owner, "SHARED", environments=["staging", "production"])
    other = await make(owner, "OTHER")
    async with db.begin(api.pool) as tx:
        new = NewToken(
            kind="deploy", name="t", scopes=["env:*"], team_id=api.team_id, project_id=project_id, environment="staging"
        )
        _, secret = await issue(tx, SYSTEM, new, user_id=None)
    bound = api.client(secret)
    assert await keys(bound, environment="staging") == ["OWN", "SHARED"]
    for variable in (own, shared):
        assert (await bound.raw.env.get(variable["id"])).data["key"] == variable["key"]
        assert (await reveal(bound, variable)).data["value"] == VALUE
    assert (await patch(bound, own, value="x"))["version"] == 2
    assert (await make(bound, "NEW", environments=["staging"]))["environments"] == ["staging"]
    for asked in (
        keys(bound), keys(bound, environment="production"), keys(bound, environment="preview"),
        bound.raw.env.get(other["id"]), reveal(bound, other), patch(bound, shared, value="x"),
        patch(bound, own, environments=["production"]), make(bound, "X"), make(bound, "X", environments=["preview"]),
        bound.raw.env.delete(shared["id"]),
    ):  # fmt: skip
        assert (await refused(asked)).status == 403
    assert (await owner.raw.env.get(shared["id"])).data["version"] == 1


async def test_a_deleted_project_changes_no_more(owner: AsyncCygniClient) -> None:
    made = await make(owner)
    await owner.projects.delete("shop", confirm="shop")
    for asked in (patch(owner, made, value="x"), make(owner, "B"), owner.raw.env.delete(made["id"])):
        assert (await refused(asked)).code == "invalid_state"
    await owner.projects.restore("shop")
    assert (await reveal(owner, made)).data["value"] == VALUE


async def test_a_deleted_environment_takes_no_variable(owner: AsyncCygniClient) -> None:
    await environment(owner, "staging")
    await owner.environments.delete("shop", "staging", confirm="staging")
    assert (await refused(make(owner, environments=["staging"]))).details["field"] == "environments[0]"


async def test_an_environment_holds_no_more_than_a_process_can_be_given(owner: AsyncCygniClient) -> None:
    value = "x" * 60_000
    for number in range(16):
        await make(owner, f"BIG_{number}", value)
    error = await refused(make(owner, "ONE_MORE", value))
    assert (error.status, error.code) == (409, "invalid_state")
    assert "production" in error.message
    await make(owner, "ONE_MORE", value, environments=["preview"])
    await make(owner, "A_FILE", value, type="file")
