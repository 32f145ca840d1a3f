"""What the API and the worker say to each other about push repositories, over a unix socket: the API serves people and
owns no repository, the worker can run git as another user.

One request a connection: a line of JSON, with the descriptors that git gets. Answers are lines of JSON. Whoever closes
the connection ends what runs for it.
"""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

SOCKET = "git.socket"
MAX_REQUEST_BYTES = 1 << 16
DESCRIPTORS = 3


class Http(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="http"):
    """Answer a request by `git http-backend`. Its descriptors: the body, the answer, and of a push the hooks'."""

    project_id: str
    variables: dict[str, str]
    writes: bool


class Commit(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="commit"):
    """Tell of a commit."""

    project_id: str
    sha: str


Request = Http | Commit


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`started`, then `ended` of a request by HTTP; `commit` of the other."""

    what: Literal["started", "ended", "commit", "full", "unavailable"]
    message: str = ""
    out_of_memory: bool = False
    commit: dict[str, str] | None = None


@contextmanager
def short(path: Path) -> Generator[str]:
    """The same file by a short name: a socket's path has at most 107 bytes (unix(7)), a data folder's any number."""
    fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)


def line(message: msgspec.Struct) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def pair() -> tuple[socket.socket, socket.socket]:
    """Ours and theirs."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs
