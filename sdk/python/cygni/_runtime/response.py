"""What an answer holds once its envelope is opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .behavior import ETAG_HEADER, RATE_LIMIT_HEADERS, REQUEST_ID_HEADER


@dataclass(frozen=True)
class Pagination:
    """Where a page stands in its list; `page`, `total` and `pages` are None in cursor form."""

    page: int | None
    limit: int
    total: int | None
    pages: int | None
    total_is_estimate: bool
    has_more: bool
    next_cursor: str | None
    prev_cursor: str | None


@dataclass(frozen=True)
class APIWarning:
    """What the caller should know although the call succeeded."""

    code: str
    message: str
    path: str | None


@dataclass(frozen=True)
class RateLimit:
    """The window with the lowest remaining share; `reset` is the Unix second at which it is full again."""

    limit: int
    remaining: int
    reset: int
    used: int | None
    resource: str | None


@dataclass(frozen=True)
class Response:
    """One answer. `data` is None where the answer has no JSON (204, 304, CSV); `content` has the bytes always."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    data: Any = None
    meta: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def request_id(self) -> str | None:
        return self.headers.get(REQUEST_ID_HEADER) or self.meta.get("requestId")

    @property
    def etag(self) -> str | None:
        return self.headers.get(ETAG_HEADER)

    @property
    def pagination(self) -> Pagination | None:
        raw = self.meta.get("pagination")
        if raw is None:
            return None
        return Pagination(
            page=raw.get("page"),
            limit=raw.get("limit"),
            total=raw.get("total"),
            pages=raw.get("pages"),
            total_is_estimate=raw.get("totalIsEstimate", False),
            has_more=raw.get("hasMore", False),
            next_cursor=raw.get("nextCursor"),
            prev_cursor=raw.get("prevCursor"),
        )

    @property
    def warnings(self) -> list[APIWarning]:
        return [APIWarning(w["code"], w["message"], w.get("path")) for w in self.meta.get("warnings", ())]

    @property
    def rate_limit(self) -> RateLimit | None:
        """None where the plan is unlimited or the answer was not charged."""
        limit, remaining, reset, used = (
            _integer(self.headers.get(RATE_LIMIT_HEADERS[name])) for name in ("limit", "remaining", "reset", "used")
        )
        if limit is None or remaining is None or reset is None:
            return None
        return RateLimit(limit, remaining, reset, used, self.headers.get(RATE_LIMIT_HEADERS["resource"]))


def open_envelope(status: int, headers: Mapping[str, str], content: bytes) -> Response:
    """Split `{data, meta}`; a JSON document without that envelope (openapi.json) becomes `data` as it is."""
    if content and _is_json(headers.get("content-type", "")):
        try:
            body = json.loads(content)
        except ValueError:
            return Response(status, headers, content)
        if isinstance(body, dict) and "meta" in body and ("data" in body or "error" in body):
            return Response(status, headers, content, data=body.get("data"), meta=body["meta"])
        return Response(status, headers, content, data=body)
    return Response(status, headers, content)


def error_body(response: Response) -> dict[str, Any]:
    """The `error` object of the envelope; empty where something other than the API answered (a proxy's HTML)."""
    if not _is_json(response.headers.get("content-type", "")):
        return {}
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _is_json(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
