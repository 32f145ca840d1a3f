"""What the edge's tests share: an edge in a short folder, an app that says what it saw, a client that hides nothing."""

import asyncio
import json
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cygnid.edge.base import App, Endpoint, Route, Static
from cygnid.edge.binaries import caddy_binary, envoy_binary
from cygnid.edge.envoy import EnvoyEdge
from cygnid.edge.programs import EdgeSetup

LIMIT = 60
"""Seconds that anything may take before a test calls it stuck."""
Headers = Sequence[tuple[str, str]]


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(LIMIT):
        while True:
            value = condition()
            if value if isinstance(value, bool) else await value:
                return
            await asyncio.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Stage:
    """One installation's edge, its folders and its port."""

    setup: EdgeSetup
    edge: EnvoyEdge

    @property
    def port(self) -> int:
        return self.setup.apps_port

    def release(self, name: str, files: dict[str, bytes | str], *, mtime: int | None = None) -> Path:
        folder = self.setup.releases / name
        for path, content in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
            if mtime is not None:
                os.utime(file, (mtime, mtime))
        return folder

    def another(self, **changes: object) -> EnvoyEdge:
        """What the next worker would make of the same folder, with other settings."""
        return EnvoyEdge(replace(self.setup, **changes))

    def log_lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.setup.access_log.read_text().splitlines()]


@asynccontextmanager
async def staged(*, supervised: bool = True, **settings: object) -> AsyncIterator[Stage]:
    base = Path(tempfile.mkdtemp(prefix="edge-"))
    base.chmod(0o711)
    root = os.getuid() == 0
    releases = base / "releases"
    releases.mkdir(mode=0o755)
    releases.chmod(0o755)
    setup = EdgeSetup(
        folder=base / "edge",
        envoy=envoy_binary(),
        file_server=caddy_binary(),
        releases=releases,
        access_log=base / "access.log",
        apps_host="127.0.0.1",
        apps_port=free_port(),
        uid=61341 if root else None,
        files_uid=61342 if root else None,
    )
    setup = replace(setup, **settings)
    edge = EnvoyEdge(setup)
    try:
        if supervised:
            await edge.supervise(term=1)
        yield Stage(setup, edge)
    finally:
        await edge.stop()
        shutil.rmtree(base)


def app(name: str, *ports: int, host: str | None = None, **settings: object) -> Route:
    endpoints = tuple(Endpoint(host="127.0.0.1", port=port) for port in ports)
    return Route(
        name=name,
        hosts=(host or f"{name.removeprefix('env_')}.localhost",),
        target=App(endpoints=endpoints, **settings),
    )


def static(name: str, release: Path, fallback: str | None = None) -> Route:
    return Route(
        name=name, hosts=(f"{name.removeprefix('env_')}.localhost",), target=Static(release=release, fallback=fallback)
    )


@dataclass
class Answer:
    status: int
    headers: Headers
    body: bytes
    trailers: Headers = ()

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Connection:
    """One connection of an HTTP/1.1 client, kept alive over requests."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(
        self, host: str, path: str = "/", *, method: str = "GET", headers: Headers = (), body: bytes | None = None
    ) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", f"host: {host}", *(f"{key}: {value}" for key, value in headers)]
        if body is not None:
            lines.append(f"content-length: {len(body)}")
        return await self.raw("\r\n".join([*lines, "", ""]).encode() + (body or b""), head=method == "HEAD")

    async def raw(self, request: bytes, *, head: bool = False) -> Answer:
        async with asyncio.timeout(LIMIT):
            self.writer.write(request)
            answer, _ = await asyncio.gather(read_answer(self.reader, head=head), self.writer.drain())
            return answer


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def get(port: int, host: str, path: str = "/", **more: object) -> Answer:
    async with connected(port) as connection:
        return await connection.send(host, path, **more)


async def read_answer(reader: asyncio.StreamReader, *, head: bool = False) -> Answer:
    first, headers = await read_head(reader)
    status = int(first.split(" ")[1])
    fields = dict(headers)
    if head or status in (204, 304):
        return Answer(status, headers, b"")
    if fields.get("transfer-encoding") == "chunked":
        return Answer(status, headers, *await read_chunks(reader))
    return Answer(status, headers, await reader.readexactly(int(fields.get("content-length", "0"))))


async def read_head(reader: asyncio.StreamReader) -> tuple[str, Headers]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    return first, [(key.lower(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]


async def read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, Headers]:
    parts: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    trailers: list[tuple[str, str]] = []
    while line := (await reader.readline()).decode().strip():
        key, _, value = line.partition(":")
        trailers.append((key.lower(), value.strip()))
    return b"".join(parts), trailers


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str, Headers], Awaitable[None]]


@dataclass
class Instance:
    """An app's instance: answers who it is and what it was asked, until closed. `handler` may answer instead."""

    name: str
    handler: Handler | None = None
    port: int = 0
    served: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Instance"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**20)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                first, headers = await read_head(reader)
                self.served += 1
                await (self.handler or self._answer)(reader, writer, first, headers)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the edge closed its connection
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: str, headers: Headers
    ) -> None:
        fields, trailers = dict(headers), ()
        if fields.get("transfer-encoding") == "chunked":
            received, trailers = await read_chunks(reader)
        else:
            received = await reader.readexactly(int(fields.get("content-length", "0")))
        seen = {"name": self.name, "request": first, "headers": headers, "bytes": len(received), "trailers": trailers}
        body = json.dumps(seen).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
        writer.write(body)
