"""What is said of log lines."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cygnid.core.paging import LogQuery
from cygnid.core.schemas import Out, Timestamp

Source = Literal["build", "app", "request", "system"]
Level = Literal["debug", "info", "warn", "error"]
Stream = Literal["stdout", "stderr"]


class RequestLog(Out, frozen=True, kw_only=True):
    method: str
    host: str
    path: str
    """Without the query, which may carry secrets."""
    status: int
    duration_ms: int
    response_bytes: int
    remote_ip: str
    user_agent: str | None


class LogLine(Out, frozen=True, kw_only=True):
    id: str
    timestamp: Timestamp
    project_id: str
    environment: str | None
    source: Source
    level: Level
    stream: Stream | None
    message: str
    truncated: bool
    deployment_id: str | None
    step: str | None
    process: str | None
    instance_id: str | None
    request_id: str | None
    request: RequestLog | None


class Gap(Out, frozen=True, kw_only=True):
    """Data of the frame `gap`: what came before this time was not kept; null: nothing is kept."""

    from_: Timestamp | None = msgspec.field(name="from")


Search = Annotated[str, Meta(min_length=1, max_length=1000)]


class LinesQuery(LogQuery, frozen=True, kw_only=True):
    """Which lines, in pages; all that is given must hold."""

    project_id: str | None = None
    environment: str | None = None
    deployment_id: list[str] | None = None
    process: list[str] | None = None
    instance_id: list[str] | None = None
    request_id: list[str] | None = None
    level: list[Level] | None = None
    source: list[Source] | None = None
    search: Search | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None


class StreamQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The same without pages; a Struct cannot have the fields of two."""

    project_id: str | None = None
    environment: str | None = None
    deployment_id: list[str] | None = None
    process: list[str] | None = None
    instance_id: list[str] | None = None
    request_id: list[str] | None = None
    level: list[Level] | None = None
    source: list[Source] | None = None
    search: Search | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None
