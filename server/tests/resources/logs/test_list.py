"""GET /v1/logs: filters, search, order, and whose lines are whose."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cygni import AsyncCygniClient, CygniError
from cygnid.core import clock, db
from cygnid.core.actors import SYSTEM
from cygnid.resources.logs import actions
from cygnid.resources.tokens.actions import NewToken, issue
from tests.make.api import Api
from tests.resources.logs.harness import Shop, make_project, shop_of


@pytest.fixture
async def shop(api: Api, tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_of(api, tmp_path) as made:
        yield made


async def written(shop: Shop, name: str, text: str, **fields: Any) -> None:
    path = await shop.open(name, **fields)
    path.write_text(text)
    tailer = shop.tailer()
    await tailer.begin()
    await tailer.look()


async def messages(client: AsyncCygniClient, **query: Any) -> list[str]:
    return [line["message"] for line in (await client.request("GET", "/logs", query=query)).data]


async def refused(client: AsyncCygniClient, **query: Any) -> tuple[int | None, str | None]:
    with pytest.raises(CygniError) as caught:
        await client.request("GET", "/logs", query=query)
    return caught.value.status, caught.value.code


async def test_a_line_on_the_wire(shop: Shop, api: Api) -> None:
    await written(shop, "a", "ready\n", process="web", instance_id="inst_1", deployment_id="dep_1")
    (line,) = (await (await api.owner()).raw.logs.list(project_id="shop")).data
    assert line.pop("id").startswith("log_")
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "projectId": shop.project_id,
        "environment": "production",
        "source": "app",
        "level": "info",
        "stream": "stdout",
        "message": "ready",
        "truncated": False,
        "deploymentId": "dep_1",
        "step": None,
        "process": "web",
        "instanceId": "inst_1",
        "requestId": None,
        "request": None,
    }


async def test_newest_first_or_oldest_first(shop: Shop, api: Api) -> None:
    await written(shop, "a", "one\ntwo\nthree\n")
    owner = await api.owner()
    assert await messages(owner) == ["three", "two", "one"]
    assert await messages(owner, sort="timestamp") == ["one", "two", "three"]
    assert await messages(owner, sort="-timestamp", limit=1) == ["three"]


async def test_nothing_is_counted_and_pages_follow_each_other(shop: Shop, api: Api) -> None:
    await written(shop, "a", "".join(f"{number}\n" for number in range(25)))
    owner = await api.owner()
    first = await owner.request("GET", "/logs", query={"limit": 10})
    assert first.pagination is not None
    assert (first.pagination.total, first.pagination.total_is_estimate) == (10_000, True)
    seen = [line["message"] async for line in await owner.paginate("/logs", {"limit": 10})]
    assert seen == [str(number) for number in reversed(range(25))]
    assert (await owner.request("GET", "/logs", query={"limit": 1000})).pagination.total == 25  # type: ignore[union-attr]
    assert await refused(owner, limit=1001) == (400, "validation_error")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"web", "oops", "build", "note"}),
        ({"environment": "production"}, {"web", "oops", "build"}),
        ({"environment": "nowhere"}, set()),
        ({"deploymentId": "dep_1"}, {"web", "build"}),
        ({"deploymentId": "dep_1,dep_2"}, {"web", "oops", "build"}),
        ({"process": "web"}, {"web"}),
        ({"instanceId": "inst_2"}, {"oops"}),
        ({"level": "error"}, {"oops"}),
        ({"level": "error,info"}, {"web", "oops", "build", "note"}),
        ({"source": "build"}, {"build"}),
        ({"source": "system,build"}, {"build", "note"}),
        ({"source": "request"}, set()),
        ({"requestId": "nothing"}, set()),
        ({"search": "OO"}, {"oops"}),
        ({"search": "%"}, set()),
        ({"search": "o_ps"}, set()),
        ({"search": "e", "source": "app"}, {"web"}),
    ],
)
async def test_filters_narrow(shop: Shop, api: Api, query: dict[str, str], expected: set[str]) -> None:
    for deployment in ("dep_1", "dep_2"):
        await shop.deployed(deployment)
    async with db.begin(shop.pool) as tx:
        await actions.system_line(tx, shop.project_id, None, "note")
    await written(shop, "a", "web\n", process="web", instance_id="inst_1", deployment_id="dep_1")
    await written(shop, "b", "oops\n", stream="stderr", process="worker", instance_id="inst_2", deployment_id="dep_2")
    await written(shop, "c", "build\n", source="build", stream=None, step="build", deployment_id="dep_1")
    assert set(await messages(await api.owner(), projectId=shop.project_id, **query)) == expected


async def test_a_deployment_that_is_not_the_callers_is_not_found(shop: Shop, api: Api) -> None:
    await shop.deployed("dep_1")
    owner, outsider = await api.owner(), await api.outsider()
    assert await messages(owner, deploymentId="dep_1") == []
    for unknown in ("dep_2", "dep_1,dep_2", "nonsense"):
        assert await refused(owner, deploymentId=unknown) == (404, "not_found")
    assert await refused(outsider, deploymentId="dep_1") == (404, "not_found")


@pytest.mark.parametrize("text", ["100% \\ sure", "under_score", "C:\\temp", "'; DROP TABLE log_lines; --"])
async def test_search_takes_every_character_as_itself(shop: Shop, api: Api, text: str) -> None:
    await written(shop, "a", f"before {text} after\nsomething else 100x y sure underxscore\n")
    assert await messages(await api.owner(), search=text) == [f"before {text} after"]


async def test_since_and_until_bound_the_time(shop: Shop, api: Api) -> None:
    await written(shop, "a", "old\n")
    between = clock.now()
    await written(shop, "b", "new\n")
    owner = await api.owner()
    assert await messages(owner, until=clock.text(between - timedelta(hours=1))) == []
    assert await messages(owner, since=clock.text(between - timedelta(hours=1))) == ["new", "old"]
    assert await messages(owner, until="9998-12-31T23:59:59Z") == ["new", "old"]
    assert await messages(owner, since="1970-01-01T00:00:00Z") == ["new", "old"]
    lines = (await owner.raw.logs.list(sort="timestamp")).data
    assert await messages(owner, since=lines[1]["timestamp"]) == ["new"]
    assert await messages(owner, until=lines[1]["timestamp"]) == ["old"]


@pytest.mark.parametrize(
    "query",
    [
        {"level": "loud"},
        {"source": "disk"},
        {"since": "yesterday"},
        {"since": "2026-11-24T08:00:00"},
        {"search": ""},
        {"search": "x" * 1001},
        {"sort": "message"},
        {"colour": "red"},
        {"cursor": "x"},
    ],
)
async def test_what_makes_no_sense_is_refused(api: Api, query: dict[str, str]) -> None:
    assert (await refused(await api.owner(), **query))[0] == 400


async def test_each_team_sees_its_own(shop: Shop, api: Api) -> None:
    await written(shop, "a", "mine\n")
    owner, outsider = await api.owner(), await api.outsider()
    assert await messages(owner) == ["mine"]
    assert await messages(outsider) == []
    assert await refused(outsider, projectId=shop.project_id) == (404, "not_found")
    assert await refused(outsider, projectId="shop") == (404, "not_found")
    assert await refused(owner, projectId="nothing") == (404, "not_found")


async def test_who_lacks_the_permission_is_refused(shop: Shop, api: Api) -> None:
    billing = await api.member("billing")
    narrow = await api.member("viewer", ("projects:read",))
    for client in (billing, narrow):
        assert await refused(client) == (403, "insufficient_scope")
        assert await refused(client, projectId="shop") == (403, "insufficient_scope")
    assert await messages(await api.member("deployer")) == []


async def test_a_deploy_token_sees_what_it_is_bound_to(shop: Shop, api: Api) -> None:
    other, other_environment = await make_project(api.pool, api.team_id, "other")
    await written(shop, "a", "production\n")
    await written(shop, "b", "staging\n", environment="staging")
    await written(shop, "c", "other\n", project_id=other, environment_id=other_environment)
    async with db.begin(api.pool) as tx:
        new = NewToken(
            kind="deploy",
            name="ci",
            scopes=("*",),
            team_id=api.team_id,
            project_id=shop.project_id,
            environment="staging",
        )
        _, secret = await issue(tx, SYSTEM, new, user_id=None)
    bound = api.client(secret)
    wide = api.client(await api.token(project_id=shop.project_id))
    assert await messages(bound) == ["staging"]
    assert await messages(bound, projectId="shop") == ["staging"]
    assert await refused(bound, environment="production") == (403, "forbidden")
    assert await refused(bound, projectId="other") == (403, "forbidden")
    assert await messages(wide) == ["staging", "production"]
    assert await messages(wide, environment="production") == ["production"]
    assert await messages(await api.owner()) == ["other", "staging", "production"]
