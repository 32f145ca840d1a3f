"""What the supervisor tells whoever started it: JSON lines over a file descriptor that survives `exec`."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, TypedDict


class Pids(TypedDict):
    supervisor: int
    postgres: int | None
    api: int | None
    worker: int | None
    edge: int | None
    files: int | None


class Summary(TypedDict):
    """The last line of `cygnid up --json`."""

    apiUrl: str
    appsUrl: str
    token: str | None
    """Shown once, when the first owner is made."""
    setupCode: str | None
    """Likewise; `cygnid setup-code` makes another."""
    teamId: str | None
    dataDir: str
    build: str
    commit: str | None
    started: bool
    """False: it was running already, of this build, and was left alone."""
    pids: Pids


class Reporter:
    """The supervisor's end. `fd` None: nobody waits, it says so on standard error."""

    def __init__(self, fd: int | None) -> None:
        self.fd = fd

    def progress(self, text: str) -> None:
        if not self._send({"progress": text}):
            print(f"cygnid: {text}", file=sys.stderr, flush=True)

    def done(self, summary: Summary) -> None:
        self._send({"done": summary})
        self._close()

    def failed(self, text: str) -> None:
        if not self._send({"failed": text}):
            print(f"cygnid: {text}", file=sys.stderr, flush=True)
        self._close()

    def _send(self, message: Mapping[str, Any]) -> bool:
        if self.fd is None:
            return False
        try:
            os.write(self.fd, json.dumps(message).encode() + b"\n")
        except OSError:
            # whoever waited has gone; the supervisor goes on
            self._close()
            return False
        return True

    def _close(self) -> None:
        if self.fd is not None:
            with suppress(OSError):
                os.close(self.fd)
            self.fd = None


class UpFailed(Exception):
    """The platform did not come up; the message says why."""


def follow(lines: Iterable[bytes]) -> Summary:
    """The waiting end: show progress on standard error, return the summary. Raises UpFailed."""
    for line in lines:
        message = json.loads(line)
        if "done" in message:
            return message["done"]
        if "failed" in message:
            raise UpFailed(message["failed"])
        print(message["progress"], file=sys.stderr, flush=True)
    raise UpFailed("the supervisor ended before the platform was up")
