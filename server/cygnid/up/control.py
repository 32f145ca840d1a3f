"""How `cygnid up`, `down` and `doctor` speak with a running supervisor: one line of JSON to a socket that only the
owner of the data folder can open, an answer of JSON lines.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict


class Request(TypedDict):
    do: Literal["status", "stop", "replace"]
    argv: NotRequired[list[str]]
    env: NotRequired[dict[str, str]]
    """replace: what to exec, in which environment."""


Answer = Callable[[Request, int], Awaitable[None]]
"""Gets the request and a file descriptor of its own for the answer, which it closes."""


@asynccontextmanager
async def listening(run: Path, answer: Answer) -> AsyncGenerator[None]:
    """Answer requests in the folder `run` while the context lasts."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                # its own descriptor, since an answer may be finished by the program that replaces this one
                await answer(json.loads(line), os.dup(writer.get_extra_info("socket").fileno()))
        finally:
            writer.close()

    (run / "control").unlink(missing_ok=True)
    with _short(run / "control") as path:
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(connected, path)
        finally:
            os.umask(before)
    async with server:
        yield


def ask(run: Path, request: Request) -> Iterator[bytes] | None:
    """The answer's lines as they come; None: no supervisor listens."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _short(run / "control") as path:
            connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        connection.close()
        return None
    connection.sendall(json.dumps(request).encode() + b"\n")
    return _lines(connection)


def _lines(connection: socket.socket) -> Iterator[bytes]:
    with connection, connection.makefile("rb") as file:
        yield from file


def reply(fd: int, message: dict[str, Any]) -> None:
    """A whole answer of one line."""
    with os.fdopen(fd, "w") as file:
        file.write(json.dumps(message) + "\n")


@contextmanager
def _short(path: Path) -> Generator[str]:
    """The same file by a short name: a socket's path has at most 107 bytes, a data folder's any number."""
    fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)
