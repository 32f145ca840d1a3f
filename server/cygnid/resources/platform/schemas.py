"""What the platform says of itself."""

from typing import Literal

from cygnid.core.schemas import Out, Timestamp
from cygnid.resources.deployments.schemas import Strategy


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


ArchiveType = Literal["application/gzip", "application/zstd", "application/zip"]


class Language(Out, frozen=True, kw_only=True):
    name: str
    versions: list[str]
    """Found on the machine; builds take no other."""


class Sandbox(Out, frozen=True, kw_only=True):
    """What keeps applications apart on this machine."""

    own_user: bool
    cgroups: Literal["v1", "v2", "none"]
    own_network: bool


class Capabilities(Out, frozen=True, kw_only=True):
    version: str
    base_domain: str
    apps_url: str
    """A pattern with `{host}`."""
    runtime: Literal["process"]
    builders: list[str]
    languages: list[Language]
    strategies: list[Strategy]
    archive_types: list[ArchiveType]
    max_upload_bytes: int
    sandbox: Sandbox
    features: list[str]
    """Parts that an installation may have or not, those that are on."""
