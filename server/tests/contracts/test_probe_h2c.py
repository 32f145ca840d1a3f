"""Probes of what speaks HTTP/2 alone, held against both runtimes: servers of two libraries, one of them gRPC's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import h2.connection
import pytest

from cygnid.runtime.base import Address, HttpProtocol, ProbeResult, Runtime
from cygnid.runtime.process.runtime import ProcessRuntime
from tests.fakes.runtime import FakeRuntime
from tests.make.h2c import Request, serving
from tests.sandbox.harness import LIMIT, staged


@pytest.fixture(params=["process", "fake"])
async def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runtime]:
    if request.param == "fake":
        yield FakeRuntime(tmp_path)
        return
    async with staged() as stage:
        yield ProcessRuntime(folder=tmp_path, sandbox=await stage.open())


async def ask(
    runtime: Runtime, port: int, *, path: str = "/", protocol: HttpProtocol = "h2c", timeout_seconds: float = LIMIT
) -> ProbeResult:
    return await runtime.probe(
        Address(host="127.0.0.1", port=port),
        host="app.example",
        path=path,
        protocol=protocol,
        scheme="https",
        timeout_seconds=timeout_seconds,
    )


def by_path(connection: h2.connection.H2Connection, stream: int, request: Request) -> None:
    connection.send_headers(stream, [(":status", "103"), ("link", "</a.css>")])
    status = "503" if request[":path"] == "/sick" else "200"
    connection.send_headers(stream, [(":status", status)])
    connection.send_data(stream, b"healthy", end_stream=True)


async def test_it_is_asked_as_the_edge_would(runtime: Runtime) -> None:
    seen: list[Request] = []
    async with serving(by_path, seen) as port:
        well, sick = await ask(runtime, port, path="/x?y=1"), await ask(runtime, port, path="/sick")
    assert [(well.status, well.error), (sick.status, sick.error)] == [(200, None), (503, None)]
    names = (":method", ":path", ":authority", "x-forwarded-proto", "user-agent")
    assert [seen[0][name] for name in names] == ["GET", "/x?y=1", "app.example", "https", "Cygni-Health-Check"]


async def test_a_grpc_server_answers(runtime: Runtime) -> None:
    """It resets a GET, and answers the call of a method that it does not have."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        answer = await ask(runtime, port)
    finally:
        await server.stop(None)
    assert (answer.status, answer.error) == (200, None)


async def test_a_server_that_resets_whatever_it_is_asked_has_no_answer(runtime: Runtime) -> None:
    seen: list[Request] = []
    async with serving(lambda connection, stream, _: connection.reset_stream(stream), seen) as port:
        answer = await ask(runtime, port)
    assert (answer.status, answer.error) == (None, "the request was reset without an answer")
    assert [request[":method"] for request in seen] == ["GET", "POST"]


async def test_goodbye_is_no_answer(runtime: Runtime) -> None:
    async with serving(lambda connection, _stream, _request: connection.close_connection(), []) as port:
        answer = await ask(runtime, port)
    assert (answer.status, answer.error) == (None, "the connection was closed without an answer (NO_ERROR)")


async def test_silence_ends_with_the_time_given(runtime: Runtime) -> None:
    async with serving(lambda _connection, _stream, _request: None, []) as port:
        answer = await ask(runtime, port, timeout_seconds=0.05)
    assert (answer.status, answer.error) == (None, "no answer within 0.05 s")


async def test_each_protocol_is_told_from_the_other(runtime: Runtime) -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(old, "127.0.0.1", 0) as server:
        answer = await ask(runtime, server.sockets[0].getsockname()[1])
    assert (answer.status, answer.error) == (None, "the answer is HTTP/1.1 and not HTTP/2")
    grpc_server = grpc.aio.server()
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    try:
        answer = await ask(runtime, port, protocol="http1")
    finally:
        await grpc_server.stop(None)
    assert answer.status is None
    assert answer.error is not None
