"""The index, health, the contract, what is left of the rate limit, and what this installation can do."""

import asyncio
import logging
import shutil
import time
from functools import cache
from importlib.metadata import version
from typing import Any, get_args

import msgspec

from cygnid.core import db
from cygnid.core.db import Read
from cygnid.core.errors import Unavailable
from cygnid.core.http import OPERATIONS, Answer, Call, Services, operation
from cygnid.core.openapi import document
from cygnid.core.plans import PLANS
from cygnid.core.schemas import FreeMap
from cygnid.resources.deployments.schemas import Strategy
from cygnid.resources.platform import queries
from cygnid.resources.platform.actions import Found
from cygnid.resources.platform.schemas import (
    ArchiveType,
    Capabilities,
    Health,
    HealthCheckResult,
    Index,
    Language,
    Links,
    RateLimit,
    RateLimitWindow,
    Sandbox,
)

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


@operation("GET", "/v1/openapi.json", id="platform.openapi", needs="public", bare=True)
async def openapi() -> FreeMap:
    """The contract of this build as an OpenAPI 3.1 document."""
    return _document()


@operation("GET", "/v1/rate-limit", id="platform.rateLimit", needs="any", charged=False)
async def rate_limit(call: Call) -> RateLimit:
    """What is left of the rate limit; asking costs nothing."""
    verdict = call.services.limiter.peek(call.actor.bucket, PLANS[call.actor.plan])
    return RateLimit(
        windows=[
            RateLimitWindow(name=window.name, limit=window.limit, remaining=window.remaining, reset_at=window.reset_at)
            for window in verdict.windows
        ]
    )


@operation("GET", "/v1/capabilities", id="platform.capabilities", needs="any", errors=[Unavailable])
async def capabilities(read: Read, call: Call) -> Capabilities:
    """What this installation can do; 503 until a worker has looked at its machine."""
    text = await queries.capabilities(read)
    if text is None:
        raise Unavailable("No worker has started yet.", headers={"Retry-After": "2"})
    found, settings = msgspec.json.decode(text, type=Found), call.services.settings
    return Capabilities(
        version=VERSION,
        base_domain=settings.base_domain,
        apps_url=settings.apps_url,
        runtime=found.runtime,
        builders=found.builders,
        languages=[Language(name=each.name, versions=each.versions) for each in found.languages],
        strategies=list(get_args(Strategy)),
        archive_types=list(get_args(ArchiveType)),
        max_upload_bytes=settings.max_upload_bytes,
        sandbox=Sandbox(
            own_user=found.sandbox.own_user, cgroups=found.sandbox.cgroups, own_network=found.sandbox.own_network
        ),
        features=[],
    )


@cache
def _document() -> dict[str, Any]:
    """Made once: it takes longer than any request should."""
    return document(OPERATIONS, version=VERSION)


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
