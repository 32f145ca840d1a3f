"""The tables `routes` and `route_versions`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from cygnid.core.db import Read
from cygnid.resources.instances.schemas import ProcessSpec
from cygnid.resources.projects.schemas import ProjectStatus


class RouteRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one environment serves; only of projects and environments that are not deleted."""

    environment_id: str
    deployment_id: str
    project: str
    environment: str
    url: str | None
    project_status: ProjectStatus
    kind: Literal["release", "static"]
    path: str
    fallback: str | None
    web: ProcessSpec | None
    """None: the release has no web process."""


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    wanted: int
    confirmed: int
    confirmed_at: datetime | None
    digest: str | None


async def versions(read: Read) -> Versions:
    found = await read.one(Versions, "SELECT wanted, confirmed, confirmed_at, digest FROM route_versions")
    assert found is not None
    return found


async def confirmed(read: Read) -> int:
    """The last version that the edge has said it serves; `Wake.PUBLISHED` tells of another."""
    return (await versions(read)).confirmed


async def routes(read: Read) -> Sequence[RouteRow]:
    return await read.all(
        RouteRow,
        """SELECT r.environment_id, r.deployment_id, p.name AS project, e.name AS environment, e.url,
               p.status AS project_status, l.kind, l.path, l.fallback,
               (SELECT spec FROM jsonb_array_elements(l.processes) AS s (spec) WHERE spec ->> 'type' = 'web') AS web
           FROM routes r
           JOIN environments e ON e.id = r.environment_id AND e.deleted_at IS NULL
           JOIN projects p ON p.id = e.project_id AND p.deleted_at IS NULL
           JOIN releases l ON l.deployment_id = r.deployment_id
           ORDER BY r.environment_id""",
    )
