"""The SDK's client as every command uses it, and streams that go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from cygni import CygniClient, Stream, StreamEvent
from cygni_cli.errors import CliError

# The server goes away for a moment, or this reader was too slow: the stream goes on where it stopped.
PASSING_REASONS = ("shutdown", "tooSlow")

T = TypeVar("T")


class Client(CygniClient):
    """Tells the server that a change came by the command line."""

    def __init__(self, api_key: str | None = None, base_url: str | None = None, **options: Any) -> None:
        super().__init__(api_key, base_url, client_name="cli", **options)


def events(connect: Callable[[str | None], Stream[T]], last_event_id: str | None = None) -> Iterator[StreamEvent[T]]:
    """The events of a stream until it ends for good, over restarts of the server; `connect` takes the last one's id.

    Raises CliError when the token loses its access meanwhile.
    """
    while True:
        with connect(last_event_id) as stream:
            yield from stream
            last_event_id, end = stream.last_event_id, stream.end
        if end is None or end.reason not in PASSING_REASONS:
            break
    if end is not None and end.reason == "unauthorized":
        raise CliError(
            "The token lost its access meanwhile.",
            why="It was revoked, expired, or lost a permission.",
            fix="Run `cygni login`, then run this again; a deployment goes on by itself.",
            code="unauthorized",
        )
