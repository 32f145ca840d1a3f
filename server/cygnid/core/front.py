"""What every answer has, whatever made it: request id, CORS, hardening headers. Plain ASGI around the application."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Send

from cygnid.core.door import error_response, handlers
from cygnid.core.errors import CygniError
from cygnid.core.http import Operation, Services
from cygnid.core.ids import new_id

MAX_BODY_BYTES = 1_000_000

_REQUEST_ID = re.compile(r"^[A-Za-z0-9_-]{8,128}$")
_EXPOSED = (
    b"ETag, Last-Modified, Link, Location, Retry-After, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining,"
    b" X-RateLimit-Reset, X-RateLimit-Used, X-RateLimit-Resource, RateLimit, RateLimit-Policy, Idempotent-Replayed,"
    b" X-Should-Retry, WWW-Authenticate"
)
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", _EXPOSED),
]
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Range, Idempotency-Key, If-Match,"
    " If-None-Match, Last-Event-ID, X-Request-Id, X-Cygni-Client",
    "Access-Control-Max-Age": "7200",
}


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's own id when it is well formed, else a new one."""
    given = next((value.decode("latin-1") for name, value in headers if name.lower() == b"x-request-id"), "")
    return given if _REQUEST_ID.match(given) else new_id("req")


class Front:
    """Headers that a handler leaves in `scope["state"]["headers"]` are sent with whatever answer follows."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id(scope["headers"])
        state["headers"] = {"X-Request-Id": state["request_id"]}

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), str(value).encode()) for name, value in state["headers"].items()]
                ours = {name for name, _ in extra}
                message["headers"] = [pair for pair in message["headers"] if pair[0].lower() not in ours]
                message["headers"] += [*_ALWAYS, *extra]
            await send(message)

        if scope["method"] == "OPTIONS":
            state["headers"] |= _PREFLIGHT
            await send_with_headers({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await self._app(scope, receive, send_with_headers)


def asgi(services: Services, operations: Sequence[Operation]) -> Front:
    """The operations behind their door, and what every answer has."""
    return Front(
        Litestar(
            route_handlers=handlers(services, operations),
            exception_handlers={CygniError: error_response, HTTPException: error_response, Exception: error_response},
            request_max_body_size=MAX_BODY_BYTES,
            openapi_config=None,
        )
    )
