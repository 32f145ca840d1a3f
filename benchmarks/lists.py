"""What our own layers cost a list: GET /v1/projects against a bare application that does the same.

The baseline is one Starlette route where Starlette is installed, else a bare ASGI function; either way asyncpg and
msgspec on the same uvicorn. For each request it hashes the token, runs the very statements that ours runs for this
list (recorded from a real request with their arguments; the look-up of the token is among them), encodes the same rows
in the same envelope, makes an ETag and a request id, and sends the same headers. It checks no permission, counts no
rate and reads no parameter.

    python benchmarks/lists.py [--rounds 9] [--seconds 2] [--projects 200]
"""

import argparse
import asyncio
import base64
import hashlib
import importlib
import logging
import multiprocessing
import os
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import msgspec
import uvicorn

from cygnid.app import running
from cygnid.core import clock
from cygnid.core.db import Read
from cygnid.core.ids import new_id
from cygnid.settings import from_environment
from cygnid.up.token import database_url
from harness import Installation, free_port, installation, interval, ratios, until_listening
from load import load

PATH = "/v1/projects?limit=20"
_PER_ANSWER = ("x-request-id", "etag", "content-length", "content-type")
"""Headers that the baseline makes itself."""


@dataclass
class Recording:
    """One request as ours answered it."""

    statements: list[tuple[str, str, tuple[Any, ...]]] = field(default_factory=list[tuple[str, str, tuple[Any, ...]]])
    """(one, all or value; SQL; arguments), in order."""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    pagination: dict[str, Any] = field(default_factory=dict[str, Any])


async def record(ours: Installation, url: str) -> Recording:
    """Run our application in this process, over the installation's database, and write down what a request does."""
    found = Recording()
    settings = from_environment({"CYGNI_HOME": str(ours.data), "CYGNI_DATABASE_URL": url})
    async with running(settings) as app:
        transport = httpx2.ASGITransport(app)  # pyright: ignore[reportArgumentType]  ASGI's types are spelled variously
        headers = {"Authorization": f"Bearer {ours.token}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
            await client.get(PATH)  # notes the token's use, once a minute
            with_record = _recording(found)
            try:
                answer = await client.get(PATH)
            finally:
                with_record()
    found.pagination = answer.json()["meta"]["pagination"]
    found.headers = [(name, value) for name, value in answer.headers.raw if name.decode().lower() not in _PER_ANSWER]
    return found


def _recording(found: Recording) -> Callable[[], None]:
    """Every statement goes into `found` until the result is called."""
    kept = {name: getattr(Read, name) for name in ("one", "all", "value")}

    def wrap(name: str, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def statement(self: Read, *given: Any) -> Any:
            sql, *arguments = given if name == "value" else given[1:]
            found.statements.append((name, sql, tuple(arguments)))
            return await original(self, *given)

        return statement

    for name, original in kept.items():
        setattr(Read, name, wrap(name, original))

    def stop() -> None:
        for name, original in kept.items():
            setattr(Read, name, original)

    return stop


class Baseline:
    """The bare application."""

    def __init__(self, recording: Recording, url: str) -> None:
        self._recording, self._url = recording, url
        self._pool: asyncio.Task[asyncpg.Pool[asyncpg.Record]] | None = None

    async def answer(self, headers: list[tuple[bytes, bytes]]) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        secret = next(value for name, value in headers if name == b"authorization").removeprefix(b"Bearer ")
        digest = hashlib.sha256(secret).digest()
        if self._pool is None:
            self._pool = asyncio.create_task(self._connect())
        pool = await self._pool
        rows: list[Any] = []
        async with pool.acquire() as connection:
            calls = {"one": connection.fetchrow, "all": connection.fetch, "value": connection.fetchval}
            for kind, sql, recorded in self._recording.statements:
                arguments = [digest if isinstance(item, bytes) and len(item) == 32 else item for item in recorded]
                result: Any = await calls[kind](sql, *arguments)
                rows = result if kind == "all" else rows
        data = msgspec.json.encode([dict(row) for row in rows])
        tag = base64.urlsafe_b64encode(hashlib.sha256(data).digest()[:16])
        request_id = new_id("req")
        meta = {
            "requestId": request_id,
            "timestamp": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "pagination": self._recording.pagination,
        }
        body = b'{"data":' + data + b',"meta":' + msgspec.json.encode(meta) + b"}"
        own = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", request_id.encode()),
            (b"etag", b'"' + tag + b'"'),
        ]
        return body, [*self._recording.headers, *own]

    async def _connect(self) -> "asyncpg.Pool[asyncpg.Record]":
        async def nothing(connection: object) -> None: ...

        async def prepare(connection: Any) -> None:
            await connection.set_type_codec(
                "jsonb", schema="pg_catalog", encoder=str, decoder=msgspec.json.decode, format="text"
            )

        return await asyncpg.create_pool(self._url, min_size=8, max_size=8, reset=nothing, init=prepare)

    def asgi(self) -> Any:
        if find_spec("starlette") is None:
            return self._bare
        starlette: Any = importlib.import_module("starlette.applications")
        routing: Any = importlib.import_module("starlette.routing")
        responses: Any = importlib.import_module("starlette.responses")

        async def endpoint(request: Any) -> Any:
            body, headers = await self.answer(request.headers.raw)
            response = responses.Response(body)
            response.raw_headers = headers
            return response

        return starlette.Starlette(routes=[routing.Route("/v1/projects", endpoint)])

    async def _bare(self, scope: Any, receive: Any, send: Any) -> None:
        body, headers = await self.answer(scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def serve(recording: Recording, url: str, port: int) -> None:
    app = Baseline(recording, url).asgi()
    options: dict[str, Any] = {
        "loop": "uvloop",
        "http": "httptools",
        "interface": "asgi3",
        "ws": "none",
        "lifespan": "off",
    }
    uvicorn.run(app, port=port, access_log=False, server_header=False, log_level="warning", **options)


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--seconds", type=float, default=2)
    options.add_argument("--projects", type=int, default=200)
    chosen = options.parse_args()
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    with installation() as ours:
        for number in range(chosen.projects):
            ours.project(f"project-{number}")
        url = database_url(ours.data, from_environment())
        recording = asyncio.run(record(ours, url))
        port = free_port()
        bare = multiprocessing.get_context("spawn").Process(target=serve, args=(recording, url, port), daemon=True)
        bare.start()
        try:
            until_listening(port)
            assert bare.pid is not None
            compare(ours, {"ours": (ours.api_port, ours.pids["api"]), "bare": (port, bare.pid)}, chosen)
        finally:
            bare.terminate()
            bare.join()
    framework = "a bare ASGI function" if find_spec("starlette") is None else "Starlette"
    print(f"Baseline: {framework}, {len(recording.statements)} statements a request.")


def compare(ours: Installation, servers: dict[str, tuple[int, int]], chosen: argparse.Namespace) -> None:
    request = f"GET {PATH} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {ours.token}\r\n\r\n".encode()
    rates: dict[str, list[float]] = {name: [] for name in servers}
    costs: dict[str, list[float]] = {name: [] for name in servers}
    for number in range(-1, chosen.rounds):
        for name in sorted(servers, reverse=bool(number % 2)):
            port, pid = servers[name]
            before = processor_seconds(pid)
            saw = load(port, request, chosen.seconds)
            if saw.failed or not saw.answered:
                raise SystemExit(f"{name}: {saw.failed} of {saw.answered} requests failed")
            if number >= 0:  # the first round warms up
                rates[name].append(saw.answered / chosen.seconds)
                costs[name].append((processor_seconds(pid) - before) / saw.answered * 1000)
    print(f"requests/s, ours ÷ bare: {ratios(rates['ours'], rates['bare'])}")
    print(f"processor time of the server for a request, ours ÷ bare: {ratios(costs['ours'], costs['bare'])}")
    for name, values in rates.items():
        print(f"{name}: {statistics.median(values):.0f} requests/s, {interval(costs[name])} ms of processor each")


if __name__ == "__main__":
    main()
