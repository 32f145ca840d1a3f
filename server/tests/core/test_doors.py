"""Streams and bodies of bytes, and times on the wire, through the whole application."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, timezone

import httpx2
import pytest

from cygnid.core import db
from cygnid.core.access import Permission, TeamAccess, team_access
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import NotFound, Unauthorized
from cygnid.core.front import asgi
from cygnid.core.http import OPERATIONS, Body, Call, ClientGone, Producer, Services, events, operation, receive
from cygnid.core.ratelimit import Limiter
from cygnid.core.schemas import ENCODER, Out, Timestamp
from cygnid.core.secrets import Secrets
from cygnid.core.sse import Outbox, StreamEnd
from cygnid.core.streams import MAX_STREAMS
from cygnid.core.wakeups import Wakeups
from cygnid.settings import Settings
from tests.make.asgi import StreamingASGITransport

_first = len(OPERATIONS)
_known = {"all"}
_received: list[bytes] = []


class Tick(Out, frozen=True, kw_only=True):
    number: int


class Sizes(Out, frozen=True, kw_only=True):
    bytes: int
    content_range: str | None


class Team(TeamAccess):
    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> TeamAccess:
        return await team_access(read, call.actor, call.path["team"], needs)


@events("/v1/{team}/ticks", id="ticks.stream", needs=Permission.LOGS_READ, sends=Tick)
async def ticks(read: Read, access: Team, call: Call) -> Producer:
    """Count up."""
    if await read.value("SELECT 1") != 1:
        raise NotFound
    start = int(call.last_event_id or 0)

    async def produce(outbox: Outbox) -> StreamEnd:
        for number in range(start + 1, start + 3):
            await outbox.send("tick", Tick(number=number), id=str(number))
        if access.actor.name == "waits":
            await asyncio.Event().wait()
        return StreamEnd(reason="finished", status="success", exit_code=None)

    return produce


@receive("/v1/{team}/bytes", id="bytes.put", needs=Permission.DEPLOYMENTS_WRITE, media=("application/gzip",))
async def put(access: Team, body: Body) -> Sizes:
    """Take bytes."""
    size = 0
    try:
        async for chunk in body.chunks:
            size += len(chunk)
    except ClientGone:
        _received.append(b"gone")
        raise
    return Sizes(bytes=size, content_range=body.content_range)


@operation("GET", "/v1/bare", id="bare.get", needs="public", bare=True, charged=False)
async def bare() -> Tick:
    """A document."""
    return Tick(number=1)


MINE = OPERATIONS[_first:]
del OPERATIONS[_first:]


async def authenticate(read: Read, secret: str, ip: str | None) -> Actor:
    if secret not in _known:
        raise Unauthorized
    name = "waits" if secret != "all" else "t"
    return Actor(
        type="token", id="tok_1", name=name, token_id=secret, team_id="a", scopes=frozenset(["*"]), plan="enterprise"
    )


@pytest.fixture
async def services(database_url: str) -> AsyncIterator[Services]:
    pool = await db.connect(database_url, size=4)
    wakeups = Wakeups(database_url)
    listening = asyncio.create_task(wakeups.run())
    yield Services(
        settings=Settings(),
        pool=pool,
        secrets=Secrets(bytes(32)),
        limiter=Limiter(),
        authenticate=authenticate,
        wakeups=wakeups,
        stopping=asyncio.Event(),
    )
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await pool.close()


@pytest.fixture
async def client(services: Services) -> AsyncGenerator[httpx2.AsyncClient]:
    transport = StreamingASGITransport(asgi(services, MINE))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def bearer(secret: str = "all", **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", **more}


async def test_a_stream_says_everything_and_why_it_ends(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/a/ticks", headers=bearer())
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"]
    assert answer.text.startswith('event: tick\nid: 1\ndata: {"number":1}\n\n')
    assert answer.text.endswith('event: end\ndata: {"reason":"finished","status":"success","exitCode":null}\n\n')
    resumed = await client.get("/v1/a/ticks", headers=bearer(**{"Last-Event-ID": "7"}))
    assert resumed.text.startswith("event: tick\nid: 8\n")


async def test_before_the_first_byte_an_error_is_json(client: httpx2.AsyncClient) -> None:
    for path, secret, status in (("/v1/b/ticks", "all", 404), ("/v1/a/ticks", "nobody", 401)):
        answer = await client.get(path, headers=bearer(secret))
        assert (answer.status_code, answer.json()["error"]["code"][:4]) == (status, {404: "not_", 401: "unau"}[status])


async def test_a_lost_token_ends_the_stream(client: httpx2.AsyncClient, services: Services) -> None:
    _known.add("soon-gone")
    async with client.stream("GET", "/v1/a/ticks", headers=bearer("soon-gone")) as answer:
        text = ""
        async for part in answer.aiter_text():
            text += part
            if "id: 2" in text and "soon-gone" in _known:
                _known.discard("soon-gone")
                async with db.begin(services.pool) as tx:
                    await tx.execute("SELECT pg_notify('cygni', 'token.revoked')")
    assert text.endswith('event: end\ndata: {"reason":"unauthorized","status":null,"exitCode":null}\n\n')


async def test_a_token_has_so_many_streams(client: httpx2.AsyncClient) -> None:
    _known.add("many")
    frames: list[AsyncIterator[bytes]] = []  # one that nobody holds is closed
    async with AsyncExitStack() as stack:
        for _ in range(MAX_STREAMS):
            opened = await stack.enter_async_context(client.stream("GET", "/v1/a/ticks", headers=bearer("many")))
            frames.append(opened.aiter_bytes())
            await anext(frames[-1])
        refused = await client.get("/v1/a/ticks", headers=bearer("many"))
        assert refused.status_code == 429
        assert refused.json()["error"]["details"]["window"] == "openStreams"
        assert (await client.get("/v1/a/ticks", headers=bearer())).status_code == 200, "another token"


async def test_a_body_of_any_size_is_taken_as_it_comes(client: httpx2.AsyncClient) -> None:
    headers = bearer(**{"Content-Type": "application/gzip", "Content-Range": "bytes 0-2999999/3000000"})
    answer = await client.put("/v1/a/bytes", content=bytes(3_000_000), headers=headers)
    assert answer.json()["data"] == {"bytes": 3_000_000, "contentRange": "bytes 0-2999999/3000000"}
    wrong = await client.put("/v1/a/bytes", content=b"x", headers=bearer(**{"Content-Type": "text/plain"}))
    assert (wrong.status_code, wrong.json()["error"]["details"]["allowed"]) == (415, ["application/gzip"])


async def test_who_sends_a_body_and_leaves_is_noticed(services: Services) -> None:
    app = asgi(services, MINE)
    messages = iter([{"type": "http.request", "body": b"abc", "more_body": True}, {"type": "http.disconnect"}])
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "PUT", "scheme": "http",
        "path": "/v1/a/bytes", "raw_path": b"/v1/a/bytes", "query_string": b"", "root_path": "",
        "headers": [(b"authorization", b"Bearer all"), (b"content-type", b"application/gzip")],
        "server": ("test", 80), "client": ("127.0.0.1", 1), "state": {},
    }  # fmt: skip

    async def hear() -> dict[str, object]:
        return next(messages)

    async def say(_: object) -> None: ...

    _received.clear()
    await app(scope, hear, say)
    assert _received == [b"gone"]


async def test_a_bare_document_has_no_envelope(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/bare")
    assert answer.json() == {"number": 1}
    again = await client.get("/v1/bare", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


class Times(Out, frozen=True, kw_only=True):
    at: Timestamp
    until: Timestamp | None


def test_a_time_has_three_decimals() -> None:
    for microsecond, text in ((0, "000"), (123_456, "123"), (999_999, "999")):
        at = datetime(2026, 11, 24, 8, 0, 0, microsecond, tzinfo=timezone(timedelta(hours=1)))
        encoded = ENCODER.encode([Times(at=at, until=None), Times(at=at, until=at.astimezone(UTC))]).decode()
        assert re.findall(r'"(2026[^"]*)"', encoded) == [f"2026-11-24T07:00:00.{text}Z"] * 3
