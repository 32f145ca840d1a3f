"""The SDK's client as every command uses it: answers are read leniently, streams go on where they stopped."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from cygni import CygniClient, Response
from cygni_cli.errors import CliError

# The server goes away for a moment, or this reader was too slow: the stream goes on where it stopped.
PASSING_REASONS = ("shutdown", "tooSlow")


class Fields(dict[str, Any]):
    """An object of the API. A field that this server does not send is None, as if it were null: the command line is
    often older or newer than the server it talks to.
    """

    def __missing__(self, name: str) -> None:
        return None


def lenient(data: Any) -> Any:
    """The same data with every object as Fields."""
    if isinstance(data, dict):
        return Fields((name, lenient(value)) for name, value in data.items())
    if isinstance(data, list):
        return [lenient(value) for value in data]
    return data


class Client(CygniClient):
    """Reads what the SDK reads, leniently."""

    def __init__(self, api_key: str | None = None, base_url: str | None = None, **options: Any) -> None:
        super().__init__(api_key, base_url, client_name="cli", **options)

    def request(self, *args: Any, **options: Any) -> Response:
        response = super().request(*args, **options)
        return replace(response, data=lenient(response.data))

    def events(
        self, path: str, query: Any = None, *, last_event_id: str | None = None
    ) -> Generator[tuple[str, Fields]]:
        """(event, data) of a stream until it ends for good, over restarts of the server.

        Raises CliError when the token loses its access meanwhile.
        """
        while True:
            with self.stream(path, query, last_event_id=last_event_id) as stream:
                for event in stream:
                    yield event.event, lenient(event.data)
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
