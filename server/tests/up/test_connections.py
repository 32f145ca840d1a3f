"""What a client may hold of the API without ever asking for anything."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn

from cygnid.up import connections
from cygnid.up.connections import HEAD_BYTES, Connection

LIMIT = 20


async def _app(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def _serving() -> AsyncGenerator[int]:
    config = uvicorn.Config(_app, http=Connection, ws="none", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running


async def _ends(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(LIMIT):
        return await reader.read()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost: here\r\nx: "], ids=["nothing", "half a head"])
async def test_a_head_that_does_not_end_ends_the_connection(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    async with _serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert await _ends(reader) == b""
        writer.close()
        await writer.wait_closed()


async def test_a_head_without_end_is_not_kept() -> None:
    async with _serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n")
        writer.write(b"x: y\r\n" * (HEAD_BYTES // 6 + 1))
        # what it still sends meets a closed connection, and may so tear away the answer
        with suppress(ConnectionError):
            assert (await _ends(reader)).startswith(b"HTTP/1.1 400")
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_client_that_asks_again_later_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 2)
    async with _serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            for part in (b"GET / HT", b"TP/1.1\r\nhost: here\r\n", b"\r\n"):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)
            async with asyncio.timeout(LIMIT):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(2) == b"ok"
            await asyncio.sleep(2.2)  # longer than a head may take: between requests it does not count
        writer.close()
        await writer.wait_closed()
