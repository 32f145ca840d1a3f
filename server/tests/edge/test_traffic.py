"""What passes through the edge, and what does not."""

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
import websockets

from cygnid.edge.base import Paused, Route
from tests.edge.harness import LIMIT, Headers, Instance, Stage, app, connected, free_port, get, read_head, staged, until

LARGE = 50 * 1024 * 1024


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


async def serve(stage: Stage, *routes: Route) -> None:
    await stage.edge.apply(routes, version=1, term=1)


async def test_a_switch_under_load_fails_nothing_and_closes_nothing(stage: Stage) -> None:
    async with Instance("old").running() as old, Instance("new").running() as new:
        await serve(stage, app("env_a", old.port))
        switched = asyncio.Event()
        served: list[str] = []

        async def client() -> None:
            async with connected(stage.port) as connection:
                after = 0
                while after < 20:
                    after += switched.is_set()
                    answer = await connection.send("a.localhost", method="POST", body=b"x" * 5000)
                    assert answer.status == 200
                    assert answer.header("connection") is None
                    served.append(json.loads(answer.body)["name"])

        async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(client())
            await until(lambda: len(served) >= 80)
            await serve(stage, app("env_a", new.port))
            switched.set()
        assert served[0] == "old"
        assert served[-1] == "new"
        assert new.served >= 8 * 19


async def test_a_request_under_way_ends_where_it_began(stage: Stage) -> None:
    began, finish = asyncio.Event(), asyncio.Event()

    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _first: str, _headers: Headers) -> None:
        began.set()
        await finish.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold")

    async with Instance("old", slow).running() as old, Instance("new").running() as new:
        await serve(stage, app("env_a", old.port))
        async with connected(stage.port) as connection:
            waiting = asyncio.create_task(connection.send("a.localhost"))
            await asyncio.wait_for(began.wait(), LIMIT)
            await serve(stage, app("env_a", new.port))
            assert json.loads((await get(stage.port, "a.localhost")).body)["name"] == "new"
            finish.set()
            assert (await waiting).body == b"old"


async def test_pages_of_the_edge_carry_the_request_id_and_no_detail(stage: Stage) -> None:
    dead = free_port()
    await serve(
        stage,
        Route(name="env_paused", hosts=("paused.localhost",), target=Paused()),
        app("env_dead", dead),
        app("env_none"),
    )
    for host, status in (("unknown", 404), ("paused", 503), ("dead", 502), ("none", 502)):
        answer = await get(stage.port, f"{host}.localhost", "/?token=secret")
        assert answer.status == status
        request_id = answer.header("x-request-id")
        assert request_id
        page = answer.body.decode()
        assert request_id in page
        assert answer.header("content-type") == "text/html; charset=utf-8"
        assert answer.header("retry-after") == ("30" if status == 503 else None)
        for detail in ("secret", str(dead), "127.0.0.1", "connection", "upstream", "envoy"):
            assert detail not in page.lower()
        assert not [name for name, _ in answer.headers if name.startswith(("x-envoy", "x-edge", "server"))]


async def test_an_apps_own_errors_are_not_touched(stage: Stage) -> None:
    async def failing(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _first: str, _headers: Headers) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\nserver: mine\r\ncontent-length: 4\r\n\r\nmine")

    async with Instance("a", failing).running() as a:
        await serve(stage, app("env_a", a.port))
        answer = await get(stage.port, "a.localhost")
        assert (answer.status, answer.body, answer.header("server")) == (503, b"mine", "mine")
        assert a.served == 1


async def test_forged_headers_never_reach_an_app(stage: Stage) -> None:
    forged = [
        ("x-request-id", "forged"), ("x-forwarded-for", "6.6.6.6"), ("x-forwarded-host", "forged"),
        ("x-forwarded-proto", "https-forged"), ("x-forwarded-port", "666"), ("forwarded", "for=6.6.6.6"),
        ("x-real-ip", "6.6.6.6"), ("true-client-ip", "6.6.6.6"), ("x-cygni-anything", "forged"),
        ("X-Envoy-Original-Dst-Host", "127.0.0.1:1"), ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("X-Forwarded-Prefix", "/forged"), ("x-forwarded-ssl", "forged"), ("x-original-url", "/forged"),
        ("x-rewrite-url", "/forged"), ("x-client-ip", "6.6.6.6"), ("x-cluster-client-ip", "6.6.6.6"),
        ("Proxy", "http://forged"),
    ]  # fmt: skip
    async with Instance("a").running() as a:
        await serve(stage, app("env_a", a.port))
        answer = await get(stage.port, "A.localhost:8443", headers=[*forged, ("x-mine", "kept")])
        seen = dict(json.loads(answer.body)["headers"])
        assert seen["x-mine"] == "kept"
        assert seen["host"] == "A.localhost:8443"
        assert ipaddress.ip_address(seen["x-forwarded-for"])  # one: Envoy writes the machine's own for loopback
        assert seen["x-forwarded-proto"] == "http"
        assert seen["x-request-id"] == answer.header("x-request-id") != "forged"
        assert "forged" not in str(seen)
        assert "6.6.6.6" not in str(seen)
        assert not [name for name in seen if name.startswith(("x-envoy-", "x-cygni-"))]


async def test_an_upstream_that_never_answers_ends_in_504() -> None:
    async def silent(_r: asyncio.StreamReader, _w: asyncio.StreamWriter, _first: str, _headers: Headers) -> None:
        await asyncio.sleep(LIMIT)

    async with staged(idle_seconds=1) as stage, Instance("a", silent).running() as a:
        await serve(stage, app("env_a", a.port))
        answer = await get(stage.port, "a.localhost")
        assert answer.status == 504
        assert (answer.header("x-request-id") or "?").encode() in answer.body


async def test_a_large_body_passes_both_ways(stage: Stage) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _first: str, headers: Headers) -> None:
        length = int(dict(headers)["content-length"])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length)
        while length:
            piece = await reader.read(min(length, 2**18))
            length -= len(piece)
            writer.write(piece)
            await writer.drain()

    body = bytes(range(256)) * (LARGE // 256)
    async with Instance("a", echo).running() as a:
        await serve(stage, app("env_a", a.port))
        answer = await get(stage.port, "a.localhost", method="POST", body=body)
        assert answer.status == 200
        assert answer.body == body


async def test_trailers_pass_both_ways(stage: Stage) -> None:
    async def app_with_trailers(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _first: str, _headers: Headers
    ) -> None:
        received = await reader.readuntil(b"x-sum: 1\r\n\r\n")
        assert received.endswith(b"0\r\nx-sum: 1\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-check\r\n\r\n")
        writer.write(b"2\r\nok\r\n0\r\nx-check: 2\r\n\r\n")

    async with Instance("a", app_with_trailers).running() as a:
        await serve(stage, app("env_a", a.port))
        async with connected(stage.port) as connection:
            answer = await connection.raw(
                b"POST / HTTP/1.1\r\nhost: a.localhost\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n"
                b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"
            )
        assert (answer.status, answer.body, list(answer.trailers)) == (200, b"ok", [("x-check", "2")])


async def test_events_arrive_as_they_are_sent(stage: Stage) -> None:
    more = asyncio.Event()

    async def events(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _first: str, _headers: Headers) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"9\r\ndata: 1\n\n\r\n")
        await more.wait()
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    async with Instance("a", events).running() as a:
        await serve(stage, app("env_a", a.port))
        async with connected(stage.port) as connection, asyncio.timeout(LIMIT):
            connection.writer.write(b"GET / HTTP/1.1\r\nhost: a.localhost\r\n\r\n")
            await read_head(connection.reader)
            assert b"data: 1" in await connection.reader.readuntil(b"\n\n")
            assert not more.is_set()
            more.set()
            assert b"data: 2" in await connection.reader.readuntil(b"\n\n")


async def test_a_web_socket_outlives_the_switch(stage: Stage) -> None:
    async def echo(socket: websockets.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with (
        websockets.serve(echo, "127.0.0.1", 0) as server,
        Instance("new").running() as new,
        asyncio.timeout(LIMIT),
    ):
        port = server.sockets[0].getsockname()[1]
        await serve(stage, app("env_a", port))
        async with websockets.connect(f"ws://a.localhost:{stage.port}", host="127.0.0.1", proxy=None) as socket:
            await socket.send("before")
            assert await socket.recv() == "before"
            await serve(stage, app("env_a", new.port))
            await socket.send("after")
            assert await socket.recv() == "after"


async def test_grpc_over_h2c_with_streams_and_trailers(stage: Stage) -> None:
    async def double(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request * 2
        context.set_trailing_metadata([("x-check", "done")])

    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler("s", {"Double": grpc.stream_stream_rpc_method_handler(double)})
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        await serve(stage, app("env_a", port, protocol="h2c"))
        options = [("grpc.default_authority", "a.localhost"), ("grpc.enable_http_proxy", 0)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}", options=options) as channel:
            call = channel.stream_stream("/s/Double")()
            for number in (b"1", b"2"):
                await call.write(number)
                assert await asyncio.wait_for(call.read(), LIMIT) == number * 2
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
            assert ("x-check", "done") in [(key, value) for key, value in await call.trailing_metadata()]
            await serve(stage, Route(name="env_a", hosts=("a.localhost",), target=Paused()))
            with pytest.raises(grpc.aio.AioRpcError) as paused:
                await channel.unary_unary("/s/Double")(b"")
            assert paused.value.code() == grpc.StatusCode.UNAVAILABLE
    finally:
        await server.stop(None)


async def test_a_request_that_reached_the_app_is_not_repeated_unless_it_only_reads(stage: Stage) -> None:
    async def dies(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _first: str, _headers: Headers) -> None:
        writer.close()

    async with Instance("dies", dies).running() as broken, Instance("good").running() as good:
        await serve(stage, app("env_a", broken.port, good.port))
        assert {(await get(stage.port, "a.localhost")).status for _ in range(6)} == {200}
        before = broken.served + good.served
        posts = [(await get(stage.port, "a.localhost", method="POST", body=b"x")).status for _ in range(6)]
        assert broken.served + good.served == before + 6
        assert posts.count(200) == 6 - posts.count(502)


@pytest.mark.parametrize(
    "smuggled",
    [
        b"POST / HTTP/1.1\r\nhost: a.localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a.localhost\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
        b"GET /%00 HTTP/1.1\r\nhost: a.localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a.localhost\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
    ids=["two lengths of a kind", "two lengths", "a null byte", "no host", "a huge header"],
)
async def test_malformed_requests_reach_no_app(stage: Stage, smuggled: bytes) -> None:
    async with Instance("a").running() as a:
        await serve(stage, app("env_a", a.port))
        async with connected(stage.port) as connection:
            assert (await connection.raw(smuggled)).status in (400, 404, 431)
        assert a.served == 0


@pytest.mark.parametrize("port", ["1@evil.com", "80.evil.com", "", "evil", "123456", "80:80"])
async def test_nothing_but_a_number_stands_after_the_colon_of_a_host(stage: Stage, port: str) -> None:
    async with Instance("a").running() as a:
        await serve(stage, app("env_a", a.port))
        answer = await get(stage.port, f"a.localhost:{port}")
        assert answer.status in (400, 404)
        assert a.served == 0
        assert (await get(stage.port, "a.localhost:80")).status == 200


async def test_the_access_log_names_the_route_and_never_the_query(stage: Stage) -> None:
    async with Instance("a").running() as a:
        await serve(stage, app("env_logged", a.port), Route(name="env_p", hosts=("p.localhost",), target=Paused()))
        answers = [
            await get(stage.port, "logged.localhost", "/path?token=hidden", headers=[("user-agent", "me")]),
            await get(stage.port, "p.localhost", "/p"),
            await get(stage.port, "nobody.localhost", "/n"),
        ]
        ids = [answer.header("x-request-id") for answer in answers]
        await until(lambda: {*ids} <= {line["id"] for line in stage.log_lines()})
    lines = {line["id"]: line for line in stage.log_lines()}
    first = lines[ids[0]]
    assert [lines[i]["route"] for i in ids] == ["env_logged", "env_p", "unknown"]
    assert first | {"ms": 0, "t": ""} == {
        "t": "", "id": ids[0], "route": "env_logged", "ip": "127.0.0.1", "ua": "me", "inst": f"127.0.0.1:{a.port}",
        "host": "logged.localhost", "m": "GET", "path": "/path", "s": 200, "flags": "-", "ms": 0, "in": 0,
        "out": len(answers[0].body), "tries": 1,
    }  # fmt: skip
    assert "hidden" not in stage.setup.access_log.read_text()
