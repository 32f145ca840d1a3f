"""How a host reaches an instance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

HttpProtocol = Literal["http1", "h2c"]
"""What an app speaks on its port; h2c: HTTP/2 without TLS, with prior knowledge, as gRPC servers do."""


class StaleLeader(Exception):
    """A newer leader has written this edge's files: the caller must stop."""


class EdgeUnavailable(Exception):
    """The edge does not run, or refused the configuration; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    host: str
    port: int


@dataclass(frozen=True, kw_only=True)
class App:
    """Instances behind the edge; none: 502 at once."""

    endpoints: tuple[Endpoint, ...]
    protocol: HttpProtocol = "http1"
    keep_alive_seconds: int = 4


@dataclass(frozen=True, kw_only=True)
class Static:
    """A sealed static release, served by the shared file server."""

    release: Path
    fallback: str | None


@dataclass(frozen=True, kw_only=True)
class Paused:
    """503 with Retry-After."""


@dataclass(frozen=True, kw_only=True)
class Route:
    name: str
    """The environment's id; what the access log calls it."""
    hosts: tuple[str, ...]
    target: App | Static | Paused


@dataclass(frozen=True, kw_only=True)
class EdgeStatus:
    running: bool
    pids: tuple[int, ...]
    version: int | None
    """The last version that the edge confirmed."""


@dataclass(frozen=True, kw_only=True)
class EdgeAnswer:
    status: int | None
    error: str | None


class Edge(Protocol):
    async def apply(self, routes: Sequence[Route], *, version: int, term: int) -> None:
        """Make exactly these routes true; returns when the edge reports this version. Idempotent; never half-applies.
        Raises StaleLeader when the term file in its folder, read under its lock, is higher; EdgeUnavailable."""
        ...

    async def supervise(self, *, term: int) -> None:
        """Start what does not run (Envoy, file server), adopt what does; returns at once when all is well. Called on
        a timer by the leader. A new binary or bootstrap is taken over by overlap, no connection dropped."""
        ...

    async def probe(self, host: str, path: str, *, protocol: HttpProtocol = "http1") -> EdgeAnswer:
        """One GET through the edge's own listener with this Host. `protocol` is the app's behind it: a gRPC server that
        has no answer to GET is asked for an RPC at that path."""
        ...

    async def status(self) -> EdgeStatus: ...

    async def stop(self) -> None:
        """End Envoy and the file server: `down --apps`."""
        ...
