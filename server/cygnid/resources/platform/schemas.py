"""What the platform says of itself."""

from typing import Literal

from cygnid.core.schemas import Out, Timestamp


class Links(Out, frozen=True, kw_only=True):
    openapi: str
    docs: str
    status: str


class Index(Out, frozen=True, kw_only=True):
    name: str
    version: str | None
    """null without a token: a stranger need not know it."""
    links: Links


class HealthCheckResult(Out, frozen=True, kw_only=True):
    name: str
    status: Literal["ok", "degraded", "down"]
    latency_ms: int


class Health(Out, frozen=True, kw_only=True):
    status: Literal["ok", "degraded", "down"]
    version: str | None
    checks: list[HealthCheckResult]


class RateLimitWindow(Out, frozen=True, kw_only=True):
    name: str
    limit: int
    remaining: int
    reset_at: Timestamp


class RateLimit(Out, frozen=True, kw_only=True):
    windows: list[RateLimitWindow]
    """Empty on a plan without limits."""
