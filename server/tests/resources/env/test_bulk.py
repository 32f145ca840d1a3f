"""Many variables at once: set, pruned, imported, exported."""

import json
import subprocess
from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.core import db
from tests.make.api import Api
from tests.make.calls import create_project, refused

PLACE = {"projectId": "shop", "environment": "production"}


@pytest.fixture
async def owner(api: Api) -> AsyncCygniClient:
    client = await api.owner()
    await create_project(client, "shop")
    for name, kind in (("staging", "custom"), ("pr-1", "preview")):
        await client.environments.create("shop", name=name, type=kind)
    return client


async def bulk(client: AsyncCygniClient, variables: list[dict[str, Any]], **fields: Any) -> Any:
    query = {"dryRun": "true"} if fields.pop("dry_run", False) else None
    return await client.request("PUT", "/env/bulk", json={**PLACE, "variables": variables, **fields}, query=query)


async def imported(client: AsyncCygniClient, content: str, **query: Any) -> dict[str, Any]:
    return (await client.request("POST", "/env/import", json={**PLACE, "content": content}, query=query)).data


async def exported(client: AsyncCygniClient, kind: str = "json", **fields: Any) -> str:
    body = {**PLACE, "format": kind, "reason": "test", **fields}
    return (await client.request("POST", "/env/export", json=body)).data["content"]


async def found(client: AsyncCygniClient, environment: str = "production") -> dict[str, str]:
    return json.loads(await exported(client, environment=environment))


def counts(answer: dict[str, Any]) -> tuple[int, int, int, int]:
    assert answer["errors"] == []
    return answer["created"], answer["updated"], answer["unchanged"], answer["deleted"]


async def test_all_are_set_and_the_rest_pruned(owner: AsyncCygniClient) -> None:
    first = [{"key": "A", "value": "1", "type": "plain"}, {"key": "B", "value": "2"}, {"key": "C", "value": "3"}]
    assert counts((await bulk(owner, first)).data) == (3, 0, 0, 0)
    second = [{"key": "A", "value": "1"}, {"key": "B", "value": "two"}, {"key": "D", "value": "4"}]
    dry = await bulk(owner, second, prune=True, dry_run=True)
    assert counts(dry.data) == (1, 1, 1, 1)
    assert [warning["code"] for warning in dry.meta["warnings"]] == ["dry_run"]
    assert await found(owner) == {"A": "1", "B": "2", "C": "3"}
    done = await bulk(owner, second, prune=True)
    assert "warnings" not in done.meta
    assert counts(done.data) == (1, 1, 1, 1)
    assert await found(owner) == {"A": "1", "B": "two", "D": "4"}
    listed = (await owner.raw.env.list(project_id="shop")).data
    assert {item["key"]: (item["type"], item["version"]) for item in listed} == {
        "A": ("plain", 1), "B": ("secret", 2), "D": ("secret", 1),
    }  # fmt: skip


async def test_a_shared_variable_is_split(owner: AsyncCygniClient) -> None:
    both = ["production", "staging"]
    for key in "ABC":
        body = {"projectId": "shop", "key": key, "value": "old", "environments": both, "type": "plain", "comment": key}
        await owner.request("POST", "/env", json=body)
    answer = await bulk(owner, [{"key": "A", "value": "new"}, {"key": "B", "value": "old"}], prune=True)
    assert counts(answer.data) == (0, 1, 1, 1)
    assert await found(owner) == {"A": "new", "B": "old"}
    assert await found(owner, "staging") == {"A": "old", "B": "old", "C": "old"}
    listed = (await owner.raw.env.list(project_id="shop")).data
    assert sorted((item["key"], item["environments"], item["type"], item["comment"]) for item in listed) == [
        ("A", ["production"], "plain", "A"), ("A", ["staging"], "plain", "A"), ("B", both, "plain", "B"),
        ("C", ["staging"], "plain", "C"),
    ]  # fmt: skip


@pytest.mark.parametrize(("variables", "status", "field"), [
    ([{"key": "B", "value": "x"}, {"key": "1", "value": ""}], 400, "variables[1].key"),
    ([{"key": "B", "value": "x"}, {"key": "C", "value": "x" * 65537}], 400, "variables[1].value"),
    ([{"key": "B", "value": "x"}, {"key": "C", "value": "é" * 40000}], 400, "variables[1].value"),
    ([{"key": "B", "value": "x"}, {"key": "B", "value": "y"}], 400, "variables[1].key"),
    ([{"key": "B", "value": "x"}, {"key": "PORT", "value": "1"}], 400, "variables[1].key"),
    ([{"key": "B", "value": "x"}, {"key": "A", "value": "1", "type": "plain"}], 409, None),
    ([{"key": f"K{number}", "value": ""} for number in range(1001)], 400, "variables"),
    ([{"key": f"K{number}", "value": ""} for number in range(1000)], 409, None),
])  # fmt: skip
async def test_one_bad_one_and_nothing_is_changed(
    owner: AsyncCygniClient, variables: list[dict[str, Any]], status: int, field: str | None
) -> None:
    await bulk(owner, [{"key": "A", "value": "1"}])
    error = await refused(bulk(owner, variables, prune=False))
    assert (error.status, error.details.get("field")) == (status, field)
    assert await found(owner) == {"A": "1"}


async def test_an_environment_that_is_not_there(owner: AsyncCygniClient) -> None:
    error = await refused(bulk(owner, [], environment="nowhere"))
    assert (error.status, error.code) == (404, "not_found")


async def test_a_file_is_imported_as_secrets(owner: AsyncCygniClient) -> None:
    await bulk(owner, [{"key": "A", "value": "1", "type": "plain"}, {"key": "Z", "value": "z"}])
    content = "# mine\nexport A=2\nB='b\nb'\n"
    assert counts(await imported(owner, content, dryRun="true")) == (1, 1, 0, 0)
    assert await found(owner) == {"A": "1", "Z": "z"}
    assert counts(await imported(owner, content)) == (1, 1, 0, 0)
    assert counts(await imported(owner, content)) == (0, 0, 2, 0)
    assert await found(owner) == {"A": "2", "B": "b\nb", "Z": "z"}
    listed = (await owner.raw.env.list(project_id="shop")).data
    assert {item["key"]: item["type"] for item in listed} == {"A": "plain", "B": "secret", "Z": "secret"}


async def test_a_file_with_a_bad_line_changes_nothing(owner: AsyncCygniClient) -> None:
    answer = await imported(owner, "A=1\nhidden words\nB=2\n")
    assert answer == {
        "created": 0, "updated": 0, "unchanged": 0, "deleted": 0,
        "errors": [{"line": 2, "reason": "Must be KEY=value"}],
    }  # fmt: skip
    assert await found(owner) == {}


async def test_what_is_exported_is_imported_and_read_by_shells(owner: AsyncCygniClient) -> None:
    values = {"KEY": "-----BEGIN-----\nab+/=\r\n-----END-----\n", "Q": 'it\'s "$HOME" \\n `id`', "E": "", "U": "🦢"}
    await bulk(owner, [{"key": key, "value": value} for key, value in values.items()])
    texts = {kind: await exported(owner, kind) for kind in ("dotenv", "json", "shell")}
    assert json.loads(texts["json"]) == values
    for kind in ("dotenv", "shell"):
        shown = "".join(f'printf "%s\\0" "${key}";' for key in values)
        said = subprocess.run(["sh", "-c", f"{texts[kind]}{shown}"], capture_output=True, check=True, env={}).stdout
        assert said.decode().split("\0")[:-1] == list(values.values())
    assert counts(await imported(owner, texts["dotenv"])) == (0, 0, 4, 0)
    await bulk(owner, [], prune=True)
    assert counts(await imported(owner, texts["dotenv"])) == (4, 0, 0, 0)
    assert await found(owner) == values


async def test_an_export_has_what_counts_and_is_kept_in_mind(api: Api, owner: AsyncCygniClient) -> None:
    await bulk(owner, [{"key": "A", "value": "all"}, {"key": "B", "value": "all"}], environment="preview")
    await bulk(owner, [{"key": "A", "value": "own"}], environment="pr-1")
    assert await found(owner, "pr-1") == {"A": "own", "B": "all"}
    assert await found(owner, "preview") == {"A": "all", "B": "all"}
    assert await found(owner, "production") == {}
    body = {**PLACE, "reason": "move house"}
    async with db.read(api.pool) as read:
        stored = await read.value("SELECT count(*) FROM idempotency")
    answer = await owner.request("POST", "/env/export", json=body, headers={"Idempotency-Key": "one-and-only"})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.data == {"format": "dotenv", "content": ""}
    async with db.read(api.pool) as read:
        rows = await read.value(
            "SELECT json_agg(json_build_array(reason, environment) ORDER BY number)::jsonb FROM changes"
            " WHERE type = 'env.exported'"
        )
        assert await read.value("SELECT count(*) FROM idempotency") == stored
    assert rows == [["test", "pr-1"], ["test", "preview"], ["test", "production"], ["move house", "production"]]
    for fields in ({"reason": ""}, {"reason": " "}, {"format": "xml"}, {"environment": ""}):
        assert (await refused(owner.request("POST", "/env/export", json={**body, **fields}))).status == 400
