"""The index, health, and what is left of the rate limit."""

import asyncio
import logging
import shutil
import time
from importlib.metadata import version

from cygnid.core import db
from cygnid.core.http import Answer, Call, Services, operation
from cygnid.resources.platform import queries
from cygnid.resources.platform.schemas import Health, HealthCheckResult, Index, Links

VERSION = version("cygnid")
_PATIENCE_SECONDS = 5
_LOW_DISK_BYTES = 1024**3

log = logging.getLogger("cygnid.health")


@operation("GET", "/v1", id="platform.index", needs="public")
async def index(call: Call) -> Index:
    """What this is and where to go on."""
    return Index(
        name="Cygni",
        version=VERSION if call.actor.token_id else None,
        links=Links(openapi="/v1/openapi.json", docs="/docs/api/reference", status="/v1/health"),
    )


@operation("GET", "/v1/health", id="platform.health", needs="public", answers=Health, charged=False)
async def health(call: Call) -> Answer:
    """Whether the platform works. With a token also which part does not; 503 when nothing can be done."""
    checks = [*await _database(call.services), _disk(call.services)]
    statuses = {check.status for check in checks}
    status = "down" if "down" in statuses else "degraded" if "degraded" in statuses else "ok"
    known = call.actor.token_id is not None
    found = Health(status=status, version=VERSION if known else None, checks=checks if known else [])
    return Answer(data=found, status=503 if status == "down" else None)


async def _database(services: Services) -> list[HealthCheckResult]:
    """The database, and what the workers say there of themselves and of the edge."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS), db.read(services.pool) as read:
            heard = await queries.workers(read)
    except db.AWAY as error:
        log.warning("the database does not answer: %r", error)
        return [HealthCheckResult(name="database", status="down", latency_ms=_since(started))]
    # of what the worker reports, its age
    age = round(heard[0].silent_seconds * 1000) if heard else queries.SILENT_SECONDS * 1000
    return [
        HealthCheckResult(name="database", status="ok", latency_ms=_since(started)),
        HealthCheckResult(name="worker", status="ok" if queries.keeps_up(heard) else "degraded", latency_ms=age),
        HealthCheckResult(name="edge", status="ok" if queries.has_edge(heard) else "degraded", latency_ms=age),
    ]


def _disk(services: Services) -> HealthCheckResult:
    started = time.perf_counter()
    free = shutil.disk_usage(services.settings.home).free
    return HealthCheckResult(
        name="disk", status="ok" if free > _LOW_DISK_BYTES else "degraded", latency_ms=_since(started)
    )


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
