"""What both clients do with the HTTP library. It is imported when the first client is made, not with the package."""

from __future__ import annotations

from typing import Any

import httpx2

from .behavior import CONNECT_TIMEOUT_SECONDS
from .call import Call
from .errors import APIConnectionError, APITimeoutError

ERRORS = (httpx2.RequestError, httpx2.InvalidURL)


# A redirect is never followed: the key belongs to one origin.


def new_client(transport: httpx2.BaseTransport | None) -> httpx2.Client:
    return httpx2.Client(transport=transport, follow_redirects=False)


def new_async_client(transport: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=transport, follow_redirects=False)


def request_options(call: Call) -> dict[str, Any]:
    return {
        "method": call.method,
        "url": call.url,
        "params": call.query or None,
        "headers": call.headers,
        "content": call.content,
        "timeout": httpx2.Timeout(call.timeout, connect=min(CONNECT_TIMEOUT_SECONDS, call.timeout)),
    }


def connection_error(call: Call, error: Exception) -> APIConnectionError:
    """The HTTP library's error as one of ours."""
    server = str(httpx2.URL(call.url).copy_with(raw_path=b"/")).rstrip("/")
    if isinstance(error, httpx2.TimeoutException):
        return APITimeoutError(f"{server} did not answer in time ({type(error).__name__}).")
    return APIConnectionError(f"{server} did not answer: {error or type(error).__name__}")
