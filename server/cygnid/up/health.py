"""Whether a running installation is well, asked where everybody asks: its API."""

import asyncio
import http.client
import json
import socket
import time
from pathlib import Path

from cygnid.edge.process import find

_PAUSE = 0.1


def api_url(listener: socket.socket) -> str:
    """Ends in /v1. A socket that listens everywhere is named by the loopback address."""
    host, port = _address(listener)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


async def healthy(listener: socket.socket, *, seconds: float) -> str | None:
    """Wait until the API says that all is well; None, or what it said last when the time is over."""
    host, port = _address(listener)
    deadline = time.monotonic() + seconds
    # asked again and again: what the API reports of the worker and the edge is known to it alone
    while (problem := await asyncio.to_thread(ask_health, host, port)) is not None:
        if time.monotonic() > deadline:
            return problem
        await asyncio.sleep(_PAUSE)
    return None


def ask_health(host: str, port: int) -> str | None:
    """One look: None when all is well, else what is not, in a sentence."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/v1/health")
        answer = connection.getresponse()
        status = json.loads(answer.read())["data"]["status"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return f"the API does not answer ({error})"
    finally:
        connection.close()
    return None if status == "ok" else f"the API answers, but says of the whole: {status}"


def edge_pids(data: Path) -> tuple[int | None, int | None]:
    """Envoy and the file server."""
    return _newest(data / "edge", "envoy"), _newest(data / "edge", "files")


def _newest(folder: Path, program: str) -> int | None:
    files = sorted(folder.glob(f"{program}-*.pid"), key=lambda file: int(file.stem.split("-")[1]), reverse=True)
    return next((process.pid for process in map(find, files) if process), None)


def _address(listener: socket.socket) -> tuple[str, int]:
    name: tuple[str, int] = listener.getsockname()[:2]
    host, port = name
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port
