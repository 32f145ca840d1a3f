"""An HTTP transport that calls an ASGI application in this process and streams its body as it is made.

httpx2's own ASGITransport gives a body only once it is complete, so an SSE stream would never begin.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx2

Message = MutableMapping[str, Any]
App = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class StreamingASGITransport(httpx2.AsyncBaseTransport):
    """For AsyncCygniClient(transport=…) and httpx2.AsyncClient(transport=…).

    Closing a response early is a disconnect for the application, as it is behind a real server. An exception that
    leaves the application before it answered is raised at the caller; one in mid-body breaks the body off.
    """

    def __init__(self, app: App, client: tuple[str, int] = ("127.0.0.1", 50000)) -> None:
        self._app = app
        self._client = client

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = _Exchange(self._app, _scope(request, self._client), await request.aread())
        start = await exchange.start()
        return httpx2.Response(start["status"], headers=list(start.get("headers", [])), stream=exchange)


class _Exchange(httpx2.AsyncByteStream):
    """One run of the application; its messages wait in a queue of one, so it cannot run ahead of its reader."""

    def __init__(self, app: App, scope: dict[str, Any], body: bytes) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue(maxsize=1)
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self._task = asyncio.create_task(self._run(app, scope))

    async def start(self) -> Message:
        try:
            message = await self._next()
        except BaseException:
            await self.aclose()
            raise
        assert message is not None, "the application ended without an answer"
        assert message["type"] == "http.response.start", message
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._next()) is not None:
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                return

    async def aclose(self) -> None:
        self._gone.set()
        # What runs after the answer (background tasks, closing of a session) belongs to the request: let it end.
        while not self._task.done():
            drain = asyncio.create_task(self._messages.get())
            await asyncio.wait({drain, self._task}, return_when=asyncio.FIRST_COMPLETED)
            drain.cancel()

    async def _run(self, app: App, scope: dict[str, Any]) -> None:
        await app(scope, self._receive, self._messages.put)

    async def _next(self) -> Message | None:
        """The application's next message; None when it has returned. Raises what it raised."""
        take = asyncio.create_task(self._messages.get())
        try:
            await asyncio.wait({take, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if take.done():
                return take.result()
        finally:
            take.cancel()
        if not self._messages.empty():
            return self._messages.get_nowait()
        if (error := self._task.exception()) is not None:
            raise error
        return None

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}


def _scope(request: httpx2.Request, client: tuple[str, int]) -> dict[str, Any]:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (url.host, url.port),
        "client": client,
        "state": {},
    }
