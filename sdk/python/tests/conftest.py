"""A scripted HTTP server on a real socket, and both clients behind one face, so each test runs with either."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cygni import AsyncCygniClient, CygniClient, CygniError, StreamEnd, StreamEvent
from cygni._runtime import behavior, uploads


@dataclass
class Reply:
    """What the server does with one request. `body` is sent as it is, or a dict as JSON.

    `reset` answers nothing and resets the connection. `hold` keeps the connection silent after the body until the
    server stops. A `body` in parts is flushed part by part.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] | None = None
    reset: bool = False
    hold: bool = False
    read_bytes: int | None = None


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedServer:
    """Answers the first request with the first reply, and so on; `requests` keeps what came."""

    def __init__(self) -> None:
        self.script: list[Reply | Callable[[Seen], Reply]] = []
        self.requests: list[Seen] = []
        self.stopping = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                owner.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._http.server_port}"
        self.url = f"{self.origin}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        step = self.script.pop(0) if self.script else Reply(500, error("script_over"), {"X-Should-Retry": "false"})
        length = int(handler.headers.get("Content-Length", 0))
        wanted = step.read_bytes if isinstance(step, Reply) and step.read_bytes is not None else length
        headers = {name.lower(): value for name, value in handler.headers.items()}
        seen = Seen(handler.command, handler.path, headers, handler.rfile.read(wanted))
        self.requests.append(seen)
        reply = step if isinstance(step, Reply) else step(seen)
        if reply.reset:
            # a pending linger of zero turns the close into a reset
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.shutdown(socket.SHUT_RD)
            handler.close_connection = True
            return
        self._send(handler, reply)

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        body = reply.body
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"X-Request-Id": f"req_{len(self.requests)}", "Content-Type": "application/json", **reply.headers}
        handler.send_response(reply.status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if reply.parts is None and not reply.hold:
            if reply.status not in (204, 304):
                handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
            return
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(content)
        for part in reply.parts or []:
            handler.wfile.write(part)
            handler.wfile.flush()
        if reply.hold:
            self.stopping.wait()
        handler.close_connection = True

    def stop(self) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def ok(data: Any, **meta: Any) -> dict[str, Any]:
    return {"data": data, "meta": {"requestId": "req_in_body", "timestamp": "2026-11-24T08:00:00Z", **meta}}


def error(code: str, **more: Any) -> dict[str, Any]:
    body = {"code": code, "message": f"about {code}", "hint": None, "details": {}, "docUrl": "/d", "errors": [], **more}
    return {"error": body, "meta": {"requestId": "req_in_body", "timestamp": "2026-11-24T08:00:00Z"}}


class Blocking:
    """The asyncio client, driven to completion call by call."""

    def __init__(self, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        self._run = loop.run_until_complete
        self._client = AsyncCygniClient(**options)

    def request(self, *args: Any, **options: Any) -> Any:
        return self._run(self._client.request(*args, **options))

    def items(self, path: str, query: Any = None) -> list[Any]:
        async def collect() -> list[Any]:
            return [item async for item in self._client.paginate(path, query)]

        return self._run(collect())

    def pages(self, path: str, query: Any = None) -> list[Any]:
        async def collect() -> list[Any]:
            return [page async for page in (await self._client.paginate(path, query)).pages()]

        return self._run(collect())

    def stream(self, path: str, **options: Any) -> tuple[list[StreamEvent], StreamEnd | None, CygniError | None]:
        async def collect() -> Any:
            events: list[StreamEvent] = []
            async with self._client.stream(path, **options) as stream:
                try:
                    async for event in stream:
                        events.append(event)  # noqa: PERF401 - what came before an error counts
                except CygniError as failure:
                    return events, stream.end, failure
            return events, stream.end, None

        return self._run(collect())

    def upload_file(self, path: Any, content_type: str, *, on_progress: Any = None) -> Any:
        return self._run(self._client.run_upload(uploads.upload_file(path, content_type, on_progress)))

    def upload_directory(self, *args: Any, **options: Any) -> Any:
        return self._run(self._client.uploads.from_directory(*args, **options))

    def close(self) -> None:
        self._run(self._client.close())


class Direct(CygniClient):
    def upload_file(self, path: Any, content_type: str, *, on_progress: Any = None) -> Any:
        return self.run_upload(uploads.upload_file(path, content_type, on_progress))

    def upload_directory(self, *args: Any, **options: Any) -> Any:
        return self.uploads.from_directory(*args, **options)

    def items(self, path: str, query: Any = None) -> list[Any]:
        return list(self.paginate(path, query))

    def pages(self, path: str, query: Any = None) -> list[Any]:
        return list(self.paginate(path, query).pages())

    def stream(self, path: str, **options: Any) -> Any:
        events: list[StreamEvent] = []
        with super().stream(path, **options) as stream:
            try:
                events.extend(stream)
            except CygniError as failure:
                return events, stream.end, failure
        return events, stream.end, None


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture(params=["sync", "async"])
def make_client(request: pytest.FixtureRequest, server: ScriptedServer) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []
    with contextlib.closing(asyncio.new_event_loop()) as loop:

        def make(**options: Any) -> Any:
            options = {"api_key": "cygp_test", "base_url": server.url, **options}
            made.append(Direct(**options) if request.param == "sync" else Blocking(loop, **options))
            return made[-1]

        yield make
        server.stopping.set()
        for client in made:
            client.close()


@pytest.fixture
def client(make_client: Callable[..., Any]) -> Any:
    return make_client()


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behavior, "FIRST_DELAY_SECONDS", 0.01)


@pytest.fixture
def reply() -> type[Reply]:
    return Reply
