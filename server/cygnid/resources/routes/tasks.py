"""The edge serves what is wanted of it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from cygnid.backends import Backends
from cygnid.core import clock
from cygnid.core.changes import Wake
from cygnid.core.db import begin, read
from cygnid.core.reconcile import reconcile
from cygnid.edge.base import App, Endpoint, Paused, Route, Static
from cygnid.resources.instances import queries as instances
from cygnid.resources.instances import seen
from cygnid.resources.instances.queries import EndpointRow
from cygnid.resources.projects import actions as projects
from cygnid.resources.projects.schemas import EnvironmentEvent, ProjectEvent
from cygnid.resources.routes import actions, queries
from cygnid.resources.routes.queries import RouteRow, Versions
from cygnid.settings import Settings

MINUTES = 5
CERTAIN = timedelta(minutes=MINUTES) / 2
"""For how long a confirmation is trusted when nothing has changed."""


@reconcile(
    on=(
        Wake.ROUTES,
        Wake.INSTANCES,
        ProjectEvent.PAUSED,
        ProjectEvent.RESUMED,
        ProjectEvent.DELETED,
        ProjectEvent.RESTORED,
        EnvironmentEvent.DELETED,
        EnvironmentEvent.RESTORED,
    ),
    minutes=MINUTES,
)
async def publish_routes(backends: Backends) -> None:
    """Give the edge every route of the installation, then say which version is true and which instances get no more
    visitors. An edge that confirmed the same routes lately is left alone. URLs follow when the operator has moved the
    applications to another address. Raises EdgeUnavailable, StaleLeader, NotLeader."""
    settings = backends.settings
    async with read(backends.pool) as reader:
        # What is written later is read later, so the routes are never older than the version and what has left.
        versions = await queries.versions(reader)
        leaving = await instances.leaving(reader)
        rows = await queries.routes(reader)
        endpoints = await instances.endpoints(reader)
    routes = [route for row in rows if (route := route_of(settings, row, endpoints)) is not None]
    digest = digest_of(routes)
    is_new = not await _is_certain(backends, versions, digest)
    if is_new:
        await backends.edge.apply(routes, version=versions.wanted, term=backends.term())
    urls = {row.environment_id: settings.url(row.project, row.environment) for row in rows}
    moved = {row.environment_id for row in rows if row.url not in (None, urls[row.environment_id])}
    if not (is_new or leaving or moved):
        return
    async with begin(backends.pool) as tx:
        if is_new:
            await actions.confirm(tx, versions.wanted, digest)
        if leaving:
            await seen.left_routes(tx, leaving)
        for environment_id in moved:
            await projects.set_url(tx, environment_id, urls[environment_id])


def route_of(settings: Settings, row: RouteRow, endpoints: Mapping[str, Sequence[EndpointRow]]) -> Route | None:
    """None: nothing to serve, as of a release without a web process."""
    if row.kind == "release" and row.web is None:
        return None
    host = urlsplit(settings.url(row.project, row.environment)).hostname
    assert host is not None
    if row.project_status == "paused":
        return Route(name=row.environment_id, hosts=(host,), target=Paused())
    if row.kind == "static":
        target = Static(release=Path(row.path), fallback=row.fallback)
        return Route(name=row.environment_id, hosts=(host,), target=target)
    assert row.web is not None
    target = App(
        endpoints=_reached(endpoints.get(row.deployment_id, ())),
        protocol=row.web.protocol,
        keep_alive_seconds=row.web.keep_alive_seconds,
    )
    return Route(name=row.environment_id, hosts=(host,), target=target)


def digest_of(routes: Sequence[Route]) -> str:
    return hashlib.sha256(
        msgspec.json.encode([(type(route.target).__name__, route) for route in routes], enc_hook=str)
    ).hexdigest()


def _reached(rows: Iterable[EndpointRow]) -> tuple[Endpoint, ...]:
    """The healthy instances; if there are none the others, since some visitors may fare better than the probe."""
    every = tuple(rows)
    chosen = tuple(row for row in every if row.status == "running") or every
    return tuple(Endpoint(host=row.host, port=row.port) for row in chosen)


async def _is_certain(backends: Backends, versions: Versions, digest: str) -> bool:
    if versions.digest != digest or versions.confirmed < versions.wanted or versions.confirmed_at is None:
        return False
    if clock.now() - versions.confirmed_at >= CERTAIN:
        return False
    return (await backends.edge.status()).version == versions.confirmed
