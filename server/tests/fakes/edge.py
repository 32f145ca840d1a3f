"""An edge without processes, for tests that deploy: a table of routes, and probes that reach real instances."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from cygnid.edge.base import (
    App,
    EdgeAnswer,
    EdgeStatus,
    EdgeUnavailable,
    Endpoint,
    HttpProtocol,
    Paused,
    Route,
    StaleLeader,
    Static,
)
from cygnid.edge.envoy_config import InvalidRoutes, validated
from cygnid.runtime.process import h2c

_PROBE_SECONDS = 10


class FakeEdge:
    """Passes the edge's contract suite."""

    def __init__(self, *, releases: Path) -> None:
        self.routes: tuple[Route, ...] = ()
        self.refusal: str | None = None
        """Set it, and the next `apply` refuses with it."""
        self._releases = releases
        self._version: int | None = None
        self._term = 0
        self._running = False

    async def apply(self, routes: Sequence[Route], *, version: int, term: int) -> None:
        self._lead(term)
        refusal, self.refusal = self.refusal, None
        if refusal:
            raise EdgeUnavailable(refusal)
        try:
            validated(routes, releases=self._releases)
        except InvalidRoutes as problem:
            raise EdgeUnavailable(str(problem)) from problem
        self.routes = tuple(routes)
        if not self._running:
            raise EdgeUnavailable("the edge does not run; the routes are saved for its start")
        self._version = version

    async def supervise(self, *, term: int) -> None:
        self._lead(term)
        self._running = True

    async def probe(self, host: str, path: str, *, protocol: HttpProtocol = "http1") -> EdgeAnswer:
        if not self._running:
            return EdgeAnswer(status=None, error="the edge does not run")
        name = host.rpartition(":")[0] or host
        route = next((route for route in self.routes if name.lower().rstrip(".") in route.hosts), None)
        match route.target if route else None:
            case None:
                return EdgeAnswer(status=404, error=None)
            case Paused():
                return EdgeAnswer(status=503, error=None)
            case Static(release=release):
                file = release / path.lstrip("/")
                found = file.is_file() or (file / "index.html").is_file()
                return EdgeAnswer(status=200 if found else 404, error=None)
            case App(endpoints=endpoints, protocol=spoken):
                for endpoint in endpoints:
                    try:
                        return EdgeAnswer(status=await _get(endpoint, host, path, spoken), error=None)
                    except OSError:
                        continue  # as the edge does: the next instance
                return EdgeAnswer(status=502, error=None)

    async def status(self) -> EdgeStatus:
        return EdgeStatus(running=self._running, pids=(), version=self._version)

    async def stop(self) -> None:
        self._running = False

    def _lead(self, term: int) -> None:
        if term < self._term:
            raise StaleLeader(f"term {term} is over: the edge is led by term {self._term}")
        self._term = term


async def _get(endpoint: Endpoint, host: str, path: str, protocol: HttpProtocol) -> int:
    async with asyncio.timeout(_PROBE_SECONDS):
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        try:
            if protocol == "h2c":
                return await h2c.get(reader, writer, authority=host, path=path, headers=())
            writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
            line = await reader.readline()
            if not line:
                raise ConnectionResetError("the instance closed without an answer")
            return int(line.split(b" ", 2)[1])
        finally:
            writer.close()
