"""Envoy's admin interface over its unix socket, as far as the edge needs it."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from cygnid.edge.envoy_bootstrap import STAT_PREFIX

CDS = "cluster_manager.cds"
RDS = f"http.{STAT_PREFIX}.rds.main"
LDS = "listener_manager.lds"
_OPEN_CONNECTIONS = f"http.{STAT_PREFIX}.downstream_cx_active"


@dataclass(frozen=True)
class Update:
    """What Envoy says of one of its files."""

    version: str | None
    refusals: int


class Admin:
    """Every method raises OSError when Envoy does not answer."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    async def live(self) -> bool:
        status, _ = await self._request("GET", "/ready")
        return status == 200

    async def updates(self, *names: str) -> dict[str, Update]:
        choice = "|".join(re.escape(name) for name in names)
        stats = await self._stats(rf"^({choice})\.(version_text|update_rejected|update_failure)$")
        return {
            name: Update(
                stats.get(f"{name}.version_text", "").strip('"') or None,
                int(stats.get(f"{name}.update_rejected", "0")) + int(stats.get(f"{name}.update_failure", "0")),
            )
            for name in names
        }

    async def open_connections(self) -> int:
        return int((await self._stats(f"^{re.escape(_OPEN_CONNECTIONS)}$")).get(_OPEN_CONNECTIONS, "0"))

    async def drain(self) -> None:
        """Ask clients to go, one answered request at a time; after the drain time stop listening."""
        status, body = await self._request("POST", "/drain_listeners?graceful")
        if status != 200:
            raise OSError(f"Envoy refused to drain: {status} {body[:200]}")

    async def _stats(self, pattern: str) -> dict[str, str]:
        _, body = await self._request("GET", f"/stats?filter={pattern}")
        return dict(line.split(": ", 1) for line in body.splitlines() if ": " in line)

    async def _request(self, method: str, path: str) -> tuple[int, str]:
        reader, writer = await asyncio.open_unix_connection(self.socket)
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
            async with asyncio.timeout(30):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                body = await _body(reader, head.lower())
        except (asyncio.IncompleteReadError, TimeoutError) as problem:
            raise ConnectionError(f"Envoy's admin interface broke off: {problem}") from problem
        finally:
            writer.close()
        return int(head.split(" ", 2)[1]), body.decode()


async def _body(reader: asyncio.StreamReader, head: str) -> bytes:
    if "transfer-encoding: chunked" not in head:
        return await reader.read()
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    return body
