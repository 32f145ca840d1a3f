"""One GET straight to an instance."""

import asyncio
import time

from cygnid.runtime.base import Address, HttpProtocol, ProbeResult
from cygnid.runtime.process import h2c

_HEAD_LIMIT = 65536
_AGENT = "Cygni-Health-Check"


async def probe(
    address: Address, *, host: str, path: str, protocol: HttpProtocol, scheme: str, timeout_seconds: float
) -> ProbeResult:
    """With the app's Host and X-Forwarded-Proto, as the edge would ask. Only the status is read."""
    began = time.monotonic()
    status: int | None = None
    error: str | None = None
    try:
        async with asyncio.timeout(timeout_seconds):
            status = await _get(address, host=host, path=path, protocol=protocol, scheme=scheme)
    except TimeoutError:
        error = f"no answer within {timeout_seconds:g} s"
    except ConnectionRefusedError:
        error = f"nothing listens on {address.host}:{address.port}"
    except (OSError, EOFError, ValueError) as failed:
        error = str(failed) or type(failed).__name__
    return ProbeResult(status=status, error=error, duration_ms=round((time.monotonic() - began) * 1000))


async def _get(address: Address, *, host: str, path: str, protocol: HttpProtocol, scheme: str) -> int:
    reader, writer = await asyncio.open_connection(address.host, address.port, limit=_HEAD_LIMIT)
    try:
        if protocol == "h2c":
            headers = (("user-agent", _AGENT), ("accept", "*/*"), ("x-forwarded-proto", scheme))
            return await h2c.get(reader, writer, authority=host, path=path, headers=headers)
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {_AGENT}\r\nAccept: */*\r\n"
            f"X-Forwarded-Proto: {scheme}\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode("latin-1"))
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise EOFError("the connection was closed without an answer")
    version, _, rest = line.decode("latin-1").strip().partition(" ")
    code = rest[:3]
    if not version.startswith("HTTP/1.") or not code.isdigit():
        raise ValueError("the answer is not HTTP/1.1")
    return int(code)
