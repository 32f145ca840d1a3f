"""What the edge logs of requests becomes lines of their environments."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cygnid.core import clock
from cygnid.resources.logs.batch import Limits
from tests.make.api import Api
from tests.resources.logs.harness import Shop, make_project, shop_of


@pytest.fixture
async def shop(api: Api, tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_of(api, tmp_path) as made:
        yield made


def logged(route: str, **fields: Any) -> bytes:
    """A line as Envoy writes it."""
    return json.dumps({
        "t": "2026-11-24T08:00:23.290Z", "id": "0a1b", "route": route, "ip": "203.0.113.7", "ua": "curl/8",
        "inst": "10.0.0.2:8080", "host": "shop.localhost", "m": "GET", "path": "/cart", "s": 200, "flags": "-",
        "ms": 12, "in": 0, "out": 345, "tries": 1,
    } | fields).encode() + b"\n"  # fmt: skip


async def store(shop: Shop, *lines: bytes, limits: Limits | None = None) -> None:
    with (shop.folder / "access.log").open("ab") as file:
        file.writelines(lines)
    tailer = shop.tailer(limits=limits)
    await tailer.begin()
    while await tailer.look() == 0:
        pass


async def test_a_request_is_a_line_of_its_environment(shop: Shop) -> None:
    await store(shop, logged(shop.environment_id, ua=None), logged(shop.environment_id, s=502))
    first, second = await shop.lines()
    assert (first.source, first.level, first.message, first.environment) == (
        "request",
        "info",
        "GET /cart 200 12 ms",
        "production",
    )
    assert first.request is not None
    assert (first.request.method, first.request.host, first.request.path, first.request.status) == (
        "GET",
        "shop.localhost",
        "/cart",
        200,
    )
    assert (first.request.duration_ms, first.request.response_bytes, first.request.remote_ip) == (
        12,
        345,
        "203.0.113.7",
    )
    assert first.request.user_agent is None
    assert (first.stream, first.request_id) == (None, "0a1b")
    assert (second.level, second.request.user_agent if second.request else "") == ("error", "curl/8")


async def test_a_request_is_dated_when_it_was_answered(shop: Shop) -> None:
    asked = clock.now() - timedelta(minutes=5)
    long_ago = clock.now() - timedelta(days=3)
    later = clock.now() + timedelta(days=3)
    await store(
        shop,
        *(logged(shop.environment_id, t=clock.text(moment), ms=1000) for moment in (asked, long_ago, later)),
    )
    first, second, third = [datetime.fromisoformat(str(line.timestamp)) for line in await shop.lines()]
    assert abs(first - asked - timedelta(seconds=1)) < timedelta(milliseconds=2)
    assert timedelta(hours=23) < clock.now() - second < timedelta(hours=25)
    assert third <= clock.now()


async def test_the_query_is_never_stored(shop: Shop) -> None:
    await store(shop, logged(shop.environment_id, path="/reset?token=hunter2&x=1"))
    (line,) = await shop.lines()
    assert "hunter2" not in repr(line)
    assert line.request is not None
    assert line.request.path == "/reset"


async def test_secrets_are_masked_wherever_they_stand(shop: Shop) -> None:
    shop.secrets.add("correct-horse")
    await store(shop, logged(shop.environment_id, path="/correct-horse", ua="a correct-horse", host="correct-horse.x"))
    (line,) = await shop.lines()
    assert "correct-horse" not in repr(line)


async def test_requests_of_no_environment_and_broken_lines_are_left_out(shop: Shop) -> None:
    await store(
        shop,
        logged("unknown"),
        logged("envt_gone"),
        b'{"t":"2026-11\n',
        b"\xff\xfe\n",
        b"\n",
        logged(shop.environment_id, path="a\x00b", m=None, s=None, ms=None, out=None, t=None),
    )
    (line,) = await shop.lines()
    assert line.message.startswith(" ab")


async def test_a_browser_that_calls_itself_by_bytes_is_logged(shop: Shop) -> None:
    await store(shop, logged(shop.environment_id, ua="?").replace(b'"?"', b'"\xff"'))
    (line,) = await shop.lines()
    assert line.request is not None
    assert line.request.user_agent == "\ufffd"


async def test_each_environment_gets_its_own(shop: Shop, api: Api) -> None:
    other, environment = await make_project(api.pool, api.other_team_id, "other")
    await store(shop, *(logged(route, path=f"/{route}") for route in (shop.environment_id, environment)))
    assert [line.request.path for line in await shop.lines() if line.request] == [f"/{shop.environment_id}"]
    shop.project_id = other
    assert [line.request.path for line in await shop.lines() if line.request] == [f"/{environment}"]


async def test_one_environments_flood_takes_nothing_from_another(shop: Shop, api: Api) -> None:
    other, environment = await make_project(api.pool, api.team_id, "other")
    flood = [logged(shop.environment_id)] * 500
    await store(shop, *flood, logged(environment), limits=Limits(per_second=0.001, burst=10))
    lines = await shop.lines()
    assert [line.source for line in lines] == ["request"] * 10 + ["system"]
    assert lines[-1].message.startswith("490 lines were dropped")
    shop.project_id = other
    assert len(await shop.lines()) == 1


async def test_the_file_that_the_edge_writes_grows_without_taking_disk(shop: Shop) -> None:
    """The edge keeps its file open: it is never renamed, deleted or cut, only punched."""
    file = shop.folder / "access.log"
    inode = None
    for _ in range(3):
        await store(shop, *([logged(shop.environment_id)] * 5000), limits=Limits(burst=1e9))
        assert inode in (None, file.stat().st_ino)
        inode = file.stat().st_ino
    assert len(await shop.lines()) == 15_000
    assert file.stat().st_size == 15_000 * len(logged(shop.environment_id))
