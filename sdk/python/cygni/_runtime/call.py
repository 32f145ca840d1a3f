"""A call as data: everything the wire needs to know, made without touching the wire."""

from __future__ import annotations

import json as jsonlib
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from .behavior import (
    CLIENT_HEADER,
    IDEMPOTENCY_HEADER,
    IDEMPOTENT_METHODS,
    IF_MATCH_HEADER,
    SDK_NAME,
    USER_AGENT,
    VERSION,
)
from .config import Target

QueryValue = str | int | float | bool | datetime | None | Sequence[str]
Query = Mapping[str, QueryValue]


@dataclass(frozen=True)
class Call:
    """One request, the same at every attempt: its idempotency key is made once."""

    method: str
    url: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    content: bytes | None
    timeout: float
    max_retries: int
    is_stream: bool = False

    def with_headers(self, headers: Mapping[str, str]) -> Call:
        return replace(self, headers={**self.headers, **headers})


class CallBuilder:
    """Turns the arguments of a method into a Call, with the client's URL, key and defaults."""

    def __init__(self, target: Target, *, max_retries: int, timeout: float, client_name: str) -> None:
        self.base_url = target.base_url
        self._max_retries = max_retries
        self._timeout = timeout
        sdk = SDK_NAME.format(version=VERSION)
        runtime = "python/" + ".".join(map(str, sys.version_info[:3]))
        self._headers = {
            "Accept": "application/json",
            "User-Agent": USER_AGENT.format(version=VERSION, runtime=runtime),
            CLIENT_HEADER: jsonlib.dumps({"name": client_name, "sdk": sdk, "runtime": runtime}),
        }
        if target.api_key:
            self._headers["Authorization"] = f"Bearer {target.api_key}"

    def build(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        is_stream: bool = False,
        accept: str | None = None,
    ) -> Call:
        """Raises ValueError for a path that is not one: a URL found in an answer must not receive the key."""
        method = method.upper()
        own: dict[str, str] = dict(self._headers)
        if json is not None:
            content = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
            own["Content-Type"] = "application/json"
        if idempotency_key is None and method in IDEMPOTENT_METHODS:
            idempotency_key = str(uuid.uuid4())
        if idempotency_key is not None:
            own[IDEMPOTENCY_HEADER] = idempotency_key
        if if_match is not None:
            own[IF_MATCH_HEADER] = if_match
        if accept is not None:
            own["Accept"] = accept
        return Call(
            method=method,
            url=self._url(path),
            query=tuple(_query_pairs(query or {})),
            headers={**own, **(headers or {})},
            content=content,
            timeout=self._timeout if timeout is None else timeout,
            max_retries=self._max_retries if max_retries is None else max_retries,
            is_stream=is_stream,
        )

    def _url(self, path: str) -> str:
        if not path.startswith("/"):
            raise ValueError(f"{path!r} is not a path of the API; it looks like /v1/projects")
        # The documentation writes routes with /v1; the base URL ends in it.
        if self.base_url.endswith("/v1") and (path == "/v1" or path.startswith("/v1/")):
            path = path.removeprefix("/v1")
        # Joined as text, never resolved: no path can lead to another origin.
        return self.base_url + path


def segment(value: str) -> str:
    """An id or a name as one segment of a path, escaped so that it stays one.

    Raises ValueError for what no escape keeps in its place: nothing, or dots, which servers resolve.
    """
    if value in ("", ".", ".."):
        raise ValueError(f"{value!r} is no id or name.")
    return quote(value, safe="")


def _query_pairs(query: Query) -> list[tuple[str, str]]:
    """None is left out, a sequence is joined by commas."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        texts = [_query_text(each) for each in values if each is not None]
        if texts:
            pairs.append((name, ",".join(texts)))
    return pairs


def _query_text(value: str | float | bool | datetime) -> str:
    if isinstance(value, datetime):
        return wire_time(value)
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def wire_time(value: datetime) -> str:
    """RFC 3339. Raises ValueError for a time that says no time zone."""
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone: it could be any of 24 hours.")
    return value.isoformat().replace("+00:00", "Z")
