"""What an SDK adds to a call: GET /v1/projects/{id} through it, against the same request by the language's HTTP client.

Both send the same headers, keep their connection and parse the JSON. A round is the medians of as many calls of each,
one of the one and one of the other in turn; the program of each language is in `calls/`.

Twice: of the installation, and of a server that knows its one answer by heart, where nothing but the client counts.

    python benchmarks/sdk.py [--rounds 9] [--calls 200] [--only python,node,go,ruby]
"""

import argparse
import asyncio
import json
import multiprocessing
import shutil
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from harness import Installation, as_installed, folder, free_port, installation, interval, ratios, until_listening

HERE = Path(__file__).parent
CALLS = HERE / "calls"
SDK = HERE.parent / "sdk"


class ByHeart(asyncio.Protocol):
    """Says the same to whatever is asked."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        self._asked += data
        while self._asked.partition(b"\r\n\r\n")[1]:
            self._asked = self._asked.partition(b"\r\n\r\n")[2]
            self._transport.write(self._answer)


def serve(answer: bytes, port: int) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: ByHeart(answer), "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(forever())


def recorded(ours: Installation) -> bytes:
    """The installation's answer as it is on the wire."""
    request = f"GET /v1/projects/measured HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {ours.token}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", ours.api_port)) as connection:
        connection.sendall(request.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        size = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return head + connection.recv(int(size.partition(b":")[2]), socket.MSG_WAITALL)


class NotHereError(Exception):
    """The machine or the checkout lacks what a language needs."""


def python(base: Path) -> list[str]:
    return [sys.executable, str(CALLS / "calls.py")]


def node(base: Path) -> list[str]:
    """The package as its users get it: built."""
    _need("node", "npm")
    subprocess.run([sys.executable, SDK / "node" / "scripts" / "prepare.py"], check=True, stdout=subprocess.DEVNULL)
    return ["node", str(CALLS / "calls.mjs")]


def go(base: Path) -> list[str]:
    _need("go")
    subprocess.run(["go", "build", "-o", base / "calls-go", "."], cwd=CALLS, check=True)
    return [str(base / "calls-go")]


def ruby(base: Path) -> list[str]:
    _need("ruby")
    return ["ruby", "-I", str(SDK / "ruby" / "lib"), str(CALLS / "calls.rb")]


LANGUAGES: dict[str, Callable[[Path], list[str]]] = {"python": python, "node": node, "go": go, "ruby": ruby}
BARE = {"python": "httpx2", "node": "fetch", "go": "net/http", "ruby": "Net::HTTP"}


def _need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise NotHereError(f"{' and '.join(missing)} not installed")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--calls", type=int, default=200)
    options.add_argument("--only", default=",".join(LANGUAGES))
    chosen = options.parse_args()
    with folder() as base, installation() as ours:
        ours.project("measured")
        port = free_port()
        context = multiprocessing.get_context("spawn")
        by_heart = context.Process(target=serve, args=(recorded(ours), port), daemon=True)
        by_heart.start()
        try:
            until_listening(port)
            for name in chosen.only.split(","):
                measure(name, base, ours.token, {"the installation": ours.api_port, "by heart": port}, chosen)
        finally:
            by_heart.terminate()
            by_heart.join()


def measure(name: str, base: Path, token: str, servers: dict[str, int], chosen: argparse.Namespace) -> None:
    try:
        command = [*LANGUAGES[name](base), "measured", str(chosen.rounds), str(chosen.calls)]
    except NotHereError as reason:
        print(f"{name}: skipped: {reason}")
        return
    for server, port in servers.items():
        to = {"CYGNI_API_URL": f"http://127.0.0.1:{port}/v1", "CYGNI_API_KEY": token}
        said = subprocess.run(command, env=as_installed(base) | to, check=True, stdout=subprocess.PIPE, text=True)
        found: dict[str, list[float]] = json.loads(said.stdout)  # each round's median in milliseconds
        added = statistics.median(our - bare for our, bare in zip(found["sdk"], found["bare"], strict=True))
        print(f"{name}, {server}, SDK ÷ {BARE[name]}: {ratios(found['sdk'], found['bare'])}, {added * 1000:+.0f} µs")
        for side in ("sdk", "bare"):
            print(f"  {side}: {interval(found[side])} ms")


if __name__ == "__main__":
    main()
