"""Server-sent events without a connection: bytes in, events out, and what to do when the line breaks.

The format is the one of the HTML standard, section "Server-sent events".
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .behavior import LAST_EVENT_ID_HEADER
from .call import Call
from .errors import APIConnectionError
from .retry import backoff

# A CR that ends the buffer may be half of a CRLF: it waits for what follows.
_LINE_END = re.compile(r"\r\n|\n|\r(?=[\s\S])")


T = TypeVar("T")


@dataclass(frozen=True)
class StreamEvent(Generic[T]):
    """One event. `gap` tells that what came before was not kept."""

    event: str
    data: T
    id: str | None


@dataclass(frozen=True)
class StreamEnd:
    """Why a stream ended: `finished`, `shutdown`, `unauthorized`, `tooSlow`; what ended, where it was one thing."""

    reason: str
    status: str | None
    exit_code: int | None


class StreamState:
    """What a stream remembers over its connections. Both clients' streams are a loop around one of these."""

    def __init__(self, call: Call, last_event_id: str | None, decode: Callable[[Any], Any]) -> None:
        self._call = call
        self._decode = decode
        self._failures = 0
        self.last_event_id = last_event_id
        self.end: StreamEnd | None = None
        self._connected()

    def next_call(self) -> Call:
        """The request that opens the stream, or goes on with it after the last event seen."""
        self._connected()
        return self._call.with_headers({LAST_EVENT_ID_HEADER: self.last_event_id}) if self.last_event_id else self._call

    def feed(self, chunk: bytes) -> list[StreamEvent[Any]]:
        """The events completed by these bytes. After `event: end`, which is not among them, `end` is set."""
        *lines, self._buffer = _LINE_END.split(self._buffer + self._decoder.decode(chunk))
        events: list[StreamEvent[Any]] = []
        for line in lines:
            event = self._take_line(line)
            if event is None or self.end is not None:
                continue
            if event.event == "end":
                data = event.data or {}
                self.end = StreamEnd(data.get("reason", "finished"), data.get("status"), data.get("exitCode"))
            else:
                self._failures = 0
                events.append(event)
        return events

    def broken(self, error: APIConnectionError) -> float:
        """Seconds to wait before going on. Raises the error if the line broke too often with nothing in between."""
        self._failures += 1
        if self._failures > self._call.max_retries:
            raise error
        return backoff(self._failures - 1)

    def _connected(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._buffer = ""
        self._name = ""
        self._data: list[str] = []
        self._id: str | None = None

    def _take_line(self, line: str) -> StreamEvent[Any] | None:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self._name = value
            elif name == "data":
                self._data.append(value)
            elif name == "id" and "\0" not in value:
                self._id = value
            return None
        if self._id is not None:
            self.last_event_id = self._id
        name, data, identity = self._name or "message", self._data, self._id
        self._name, self._data, self._id = "", [], None
        if not data:
            return None
        value = json.loads("\n".join(data))
        return StreamEvent(name, value if name == "end" else self._decode(value), identity)
