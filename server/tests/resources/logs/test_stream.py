"""GET /v1/logs/stream, and what deployments build on: every line once, in order, from wherever the client was."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cygni import AsyncCygniClient, CygniError, StreamEvent
from cygnid.core import db
from cygnid.core.db import Read
from cygnid.core.http import Services
from cygnid.core.ratelimit import Limiter
from cygnid.core.secrets import Secrets
from cygnid.core.sse import Outbox, StreamEnd
from cygnid.core.wakeups import Wakeups
from cygnid.resources.logs import actions, follow, queries, store
from cygnid.resources.logs.follow import Start
from cygnid.resources.logs.lines import first_id
from cygnid.resources.logs.queries import of_project
from cygnid.resources.tokens.actions import authenticate
from tests.make.api import Api
from tests.make.people import make_user
from tests.resources.logs.harness import Shop, make_project, shop_of

BEGINNING = Start(first=first_id(0), gap=None)


@pytest.fixture
async def shop(api: Api, tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_of(api, tmp_path) as made:
        yield made


async def write(shop: Shop, text: str, name: str = "a", **fields: Any) -> None:
    path = await shop.open(name, **fields)
    with path.open("a") as file:
        file.write(text)
    tailer = shop.tailer()
    await tailer.begin()
    await tailer.look()


@asynccontextmanager
async def streamed(
    client: AsyncCygniClient, last_event_id: str | None = None, **query: Any
) -> AsyncIterator[AsyncIterator[StreamEvent]]:
    async with client.stream("/logs/stream", query, last_event_id=last_event_id) as stream:
        yield aiter(stream)


async def take(events: AsyncIterator[StreamEvent], count: int) -> list[Any]:
    """Messages of the next lines, or the data of other events."""
    async with asyncio.timeout(20):
        found = [await anext(events) for _ in range(count)]
    return [event.data["message"] if event.event == "log" else (event.event, event.data) for event in found]


async def test_lines_are_sent_as_they_are_stored_and_only_new_ones(shop: Shop, api: Api) -> None:
    await write(shop, "old\n")
    owner = await api.owner()
    async with streamed(owner, projectId="shop") as events:
        first = asyncio.ensure_future(anext(events))
        for number in range(1000):  # until the stream is open
            await write(shop, f"{number}\n")
            await asyncio.wait({first}, timeout=0.05)
            if first.done():
                break
        begun = int((await first).data["message"])
        await write(shop, "next\nlast\n")
        rest: list[str] = []
        while not rest or rest[-1] != "last":
            rest += await take(events, 1)
    assert rest == [*(str(later) for later in range(begun + 1, number + 1)), "next", "last"]


async def test_an_event_is_the_line_with_its_id(shop: Shop, api: Api) -> None:
    await write(shop, "one\n")
    owner = await api.owner()
    listed = (await owner.request("GET", "/logs")).data[0]
    async with streamed(owner, since="2026-01-01T00:00:00Z") as events:
        event = await anext(events)
    assert (event.event, event.id, event.data) == ("log", listed["id"], listed)


async def test_a_stream_goes_on_after_the_last_line_seen(shop: Shop, api: Api) -> None:
    await write(shop, "one\ntwo\nthree\n")
    owner = await api.owner()
    async with streamed(owner, since="2026-01-01T00:00:00Z") as events:
        async with asyncio.timeout(20):
            seen = [await anext(events) for _ in range(2)]
    await write(shop, "four\n")
    async with streamed(owner, last_event_id=seen[-1].id) as events:
        assert await take(events, 2) == ["three", "four"]


@pytest.mark.parametrize("unknown", ["log_01kav9g17ces2a7m3yrpz9sjep", "evt_1", "x", "log_", "'", "log_z"])
async def test_an_unknown_line_is_a_gap_and_then_the_oldest_kept(shop: Shop, api: Api, unknown: str) -> None:
    await write(shop, "one\ntwo\n")
    owner = await api.owner()
    oldest = (await owner.request("GET", "/logs", query={"sort": "timestamp"})).data[0]
    async with streamed(owner, last_event_id=unknown) as events:
        assert await take(events, 3) == [("gap", {"from": oldest["timestamp"]}), "one", "two"]


async def test_a_gap_before_nothing_has_no_time(shop: Shop, api: Api) -> None:
    async with db.begin(shop.pool) as tx:
        await store.make_days(tx)
    async with streamed(await api.owner(), last_event_id="log_x") as events:
        assert await take(events, 1) == [("gap", {"from": None})]


async def test_another_teams_line_is_unknown(shop: Shop, api: Api) -> None:
    await write(shop, "mine\n")
    line = (await shop.lines())[0]
    project, environment = await make_project(api.pool, api.other_team_id, "theirs")
    await write(shop, "theirs\n", "b", project_id=project, environment_id=environment)
    async with streamed(await api.outsider(), last_event_id=line.id) as events:
        gap, first = await take(events, 2)
    assert gap[0] == "gap"
    assert first == "theirs"


async def test_filters_narrow_a_stream(shop: Shop, api: Api) -> None:
    await write(shop, "noise\nERROR seven\nnoise\n", "a", process="web")
    await write(shop, "ERROR eight\n", "b", process="worker")
    async with streamed(
        await api.owner(), since="2026-01-01T00:00:00Z", level="error", process="web,worker", search="e"
    ) as events:
        assert await take(events, 2) == ["ERROR seven", "ERROR eight"]


async def test_who_may_not_read_is_refused_before_the_first_byte(shop: Shop, api: Api) -> None:
    for client, expected in ((await api.outsider(), 404), (await api.member("billing"), 403)):
        with pytest.raises(CygniError) as caught:
            async with streamed(client, projectId="shop") as events:
                await anext(events)
        assert caught.value.status == expected
    with pytest.raises(CygniError) as caught:
        async with streamed(await api.owner(), page=1) as events:
            await anext(events)
    assert caught.value.code == "unknown_parameter"


async def test_who_loses_one_of_two_teams_sees_no_more(shop: Shop, api: Api) -> None:
    async with db.begin(api.pool) as tx:
        user = await make_user(tx, "both", **{api.team_id: "viewer", api.other_team_id: "viewer"})
    client = api.client(await api.token(user))
    await write(shop, "before\n")
    stream = client.stream("/logs/stream", {"since": "2026-01-01T00:00:00Z"})
    async with stream:
        events = aiter(stream)
        assert await take(events, 1) == ["before"]
        async with db.begin(api.pool) as tx:
            assert await tx.execute("DELETE FROM members WHERE user_id = $1 AND team_id = $2", user, api.team_id)
        await write(shop, "after\n")
        async with asyncio.timeout(20):
            assert [event async for event in events] == []
    assert stream.end is not None
    assert stream.end.reason == "unauthorized"


@asynccontextmanager
async def following(
    shop: Shop, api: Api, start: Start = BEGINNING, ended: follow.Ended | None = None
) -> AsyncIterator[tuple[Outbox, "asyncio.Task[StreamEnd]"]]:
    """A producer without the door."""
    wakeups = Wakeups(shop.url)
    listening = asyncio.create_task(wakeups.run())
    services = dataclasses.replace(_services(api), wakeups=wakeups, pool=shop.pool)
    produce = follow.follow(
        services, [of_project(shop.project_id, None)], start, wakes=[store.wake_of(shop.project_id)], ended=ended
    )
    outbox = Outbox(frames=10_000, patience_seconds=20)
    task = asyncio.create_task(produce(outbox))
    try:
        yield outbox, task
    finally:
        for running in (task, listening):
            running.cancel()
        await asyncio.gather(task, listening, return_exceptions=True)


def _services(api: Api) -> Services:
    return Services(
        settings=api.settings,
        pool=api.pool,
        secrets=Secrets(api.settings.key()),
        limiter=Limiter(),
        authenticate=authenticate,
        wakeups=Wakeups(api.settings.database_url),
        stopping=asyncio.Event(),
    )


async def sent(outbox: Outbox, count: int) -> list[str]:
    """The ids of the next frames."""
    found: list[str] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            outbox.changed.clear()
            while (frame := outbox.take()) is not None:
                found.append(next(line for line in frame.decode().splitlines() if line.startswith("id: "))[4:])
            if len(found) < count:
                await outbox.changed.wait()
    return found


async def note(shop: Shop, text: str) -> None:
    async with db.begin(shop.pool) as tx:
        await actions.system_line(tx, shop.project_id, None, text)


async def test_batches_become_visible_in_the_order_of_their_ids(shop: Shop, api: Api) -> None:
    """A batch that is not committed yet keeps any later one from drawing ids: whoever remembers one skips none."""
    async with db.begin(shop.pool) as tx:
        await store.make_days(tx)
    await note(shop, "first")

    async def second() -> None:
        async with db.begin(shop.pool) as tx:
            await store.store(tx, [])

    async with following(shop, api) as (outbox, _):
        async with db.begin(shop.pool) as tx:
            await store.store(tx, [])
            await note(shop, "second")
            waiting = asyncio.create_task(second())
            done, _ = await asyncio.wait({waiting}, timeout=0.5)
            assert not done
        await waiting
        ids = await sent(outbox, 2)
    lines = await shop.lines()
    assert [line.message for line in lines] == ["first", "second"]
    assert ids == [line.id for line in lines]


async def test_a_follower_of_many_writers_gets_each_line_once_in_order(shop: Shop, api: Api) -> None:
    paths = [await shop.open(f"{number}") for number in range(6)]
    tailers = [shop.tailer() for _ in range(3)]
    for tailer in tailers:
        await tailer.begin()
    async with following(shop, api) as (outbox, _):
        for turn in range(20):
            for path in paths:
                with path.open("a") as file:
                    file.write(f"{path.name} {turn}\n" * 3)
            await asyncio.gather(*(tailer.look() for tailer in tailers))
        ids = await sent(outbox, 6 * 20 * 3)
    assert ids == [line.id for line in await shop.lines()]


async def test_more_lines_than_one_look_takes_are_all_sent(shop: Shop, api: Api) -> None:
    await write(shop, "x\n" * 1700)
    async with following(shop, api) as (outbox, _):
        assert len(set(await sent(outbox, 1700))) == 1700


async def test_what_was_stored_before_the_end_is_sent_before_it(shop: Shop, api: Api) -> None:
    async def ended(read: Read) -> StreamEnd | None:
        is_over = await read.value("SELECT count(*) = 3 FROM log_lines")
        return StreamEnd(reason="finished", status="success", exit_code=None) if is_over else None

    await write(shop, "one\n")
    async with following(shop, api, ended=ended) as (outbox, task):
        await sent(outbox, 1)
        await write(shop, "two\nthree\n")
        async with asyncio.timeout(20):
            assert (await task).status == "success"
        assert len(await sent(outbox, 2)) == 2


async def test_a_deployment_is_followed_from_its_first_line(shop: Shop, api: Api) -> None:
    await write(shop, "built\n", source="build", stream=None, step="build", deployment_id="dep_1")
    await write(shop, "app\n", "b", deployment_id="dep_1")
    async with db.read(shop.pool) as read:
        conditions = [queries.of_deployment("dep_1")]
        start = await follow.oldest(read, conditions, None)
        found = await queries.lines_between(read, conditions, start.first, await queries.head(read), 10)
    assert [line.message for line in found] == ["built"]


async def test_a_follower_that_waits_holds_no_connection(shop: Shop, api: Api) -> None:
    await write(shop, "one\n")
    shop.pool, large = await db.connect(shop.url, size=1), shop.pool
    try:
        async with following(shop, api) as (outbox, _), following(shop, api) as (other, _):
            await sent(outbox, 1)
            await sent(other, 1)
            async with asyncio.timeout(20), db.read(shop.pool) as read:
                assert await read.value("SELECT 1") == 1
    finally:
        with suppress(TimeoutError):
            await shop.pool.close()
        shop.pool = large
