"""The index, health, and what is left of the rate limit."""

import time
from importlib.metadata import version

from cygnid.core.db import Read
from cygnid.core.http import Call, operation
from cygnid.resources.platform.schemas import Health, HealthCheckResult, Index, Links

VERSION = version("cygnid")


@operation("GET", "/v1", id="platform.index", needs="public")
async def index(call: Call) -> Index:
    """What this is and where to go on."""
    return Index(
        name="Cygni",
        version=VERSION if call.actor.token_id else None,
        links=Links(openapi="/v1/openapi.json", docs="/docs/api/reference", status="/v1/health"),
    )


@operation("GET", "/v1/health", id="platform.health", needs="public", charged=False)
async def health(read: Read, call: Call) -> Health:
    """Whether the platform works. With a token also which part does not."""
    started = time.perf_counter()
    await read.value("SELECT 1")
    database = HealthCheckResult(name="database", status="ok", latency_ms=round((time.perf_counter() - started) * 1000))
    known = call.actor.token_id is not None
    return Health(status="ok", version=VERSION if known else None, checks=[database] if known else [])
