"""Routes → the documents that Envoy reads. Pure: no files, no processes.

Every document is all or nothing: Envoy refuses a whole route table for one bad host while it runs, and serves nothing
at all when it is started with such a file. So `validated` looks at the routes first.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cygnid.edge.base import App, Paused, Route, Static

Json = dict[str, Any]

FILES_CLUSTER = "files"
UNKNOWN_ROUTE = "unknown"
RELEASE_HEADER = "x-cygni-release"
FALLBACK_HEADER = "x-cygni-fallback"
RETRY_AFTER_SECONDS = 30

_TYPE = "type.googleapis.com/"
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")
_PART = r"\.?[A-Za-z0-9_@+~:-][A-Za-z0-9_.@+~:-]*"
PATH_INSIDE = f"{_PART}(/{_PART})*"
"""A relative path that stays inside: no part is `.` or `..`. Also a pattern of Go's."""
_INSIDE = re.compile(rf"{PATH_INSIDE}\Z")
# Envoy's own limits (1,024 each) hold per cluster and would cut a busy app off.
_CIRCUIT_BREAKERS: Json = {
    "thresholds": [
        {"max_connections": 65536, "max_pending_requests": 65536, "max_requests": 65536, "max_retries": 1024}
    ]
}
# Only connections that cannot be made eject an instance: one URL that answers 500 must not take the app away.
_OUTLIERS: Json = {
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 2,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_local_origin_success_rate": 0,
    "enforcing_consecutive_5xx": 0,
    "enforcing_success_rate": 0,
    "enforcing_consecutive_gateway_failure": 0,
    "interval": "1s",
    "base_ejection_time": "3s",
    "max_ejection_time": "10s",
    "max_ejection_percent": 50,
    "always_eject_one_host": True,
}
# Failures after which no byte of the request has reached an app: safe for POST too.
_SAFE_FAILURES = "connect-failure,refused-stream,reset-before-request"


class InvalidRoutes(ValueError):
    """Envoy would refuse these routes, or serve something else than they say."""


@dataclass(frozen=True, kw_only=True)
class EdgeConfig:
    """What the listener and the process need to know; a change of it means a new process beside the old."""

    admin_socket: Path
    cds_file: Path
    rds_file: Path
    lds_file: Path
    access_log: Path
    listen_host: str
    listen_port: int
    max_connections: int
    idle_seconds: int
    """A request or an open stream on which nothing moved for this long ends: 504 when no answer had begun."""


def validated(routes: Sequence[Route], *, releases: Path) -> Sequence[Route]:
    """The routes as given. Raises InvalidRoutes naming the first that Envoy would refuse or get wrong."""
    names, hosts = {FILES_CLUSTER, UNKNOWN_ROUTE}, set[str]()
    for route in routes:
        if not _NAME.match(route.name) or route.name in names:
            raise InvalidRoutes(f"route name {route.name!r} is malformed, reserved or there twice")
        names.add(route.name)
        if not route.hosts:
            raise InvalidRoutes(f"route {route.name} has no host")
        for host in route.hosts:
            if not _HOST.match(host):
                raise InvalidRoutes(f"route {route.name}: {host!r} is no lower-case host name without port")
            if host in hosts:
                raise InvalidRoutes(f"route {route.name}: the host {host} is there twice")
            hosts.add(host)
        _check_target(route, releases)
    return routes


def _check_target(route: Route, releases: Path) -> None:
    match route.target:
        case App(endpoints=endpoints, keep_alive_seconds=keep_alive):
            if keep_alive < 1:
                raise InvalidRoutes(f"route {route.name}: keep_alive_seconds {keep_alive} is below 1")
            for endpoint in endpoints:
                if not _is_address(endpoint.host) or not 0 < endpoint.port < 65536:
                    raise InvalidRoutes(f"route {route.name}: {endpoint.host}:{endpoint.port} is no address and port")
        case Static(release=release, fallback=fallback):
            if not _INSIDE.match(_inside(release, releases)):
                raise InvalidRoutes(f"route {route.name}: {release} is no release below {releases}")
            if fallback is not None and not _INSIDE.match(fallback):
                raise InvalidRoutes(f"route {route.name}: the fallback {fallback!r} is no file inside the release")
        case Paused():
            pass


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _inside(release: Path, releases: Path) -> str:
    return release.relative_to(releases).as_posix() if release.is_relative_to(releases) else ""


def clusters(routes: Iterable[Route], *, files_socket: Path) -> dict[str, Json]:
    """Cluster name → cluster: one for each route to an app, named as the route, and the file server's."""
    found = {FILES_CLUSTER: _files_cluster(files_socket)}
    found.update(
        (route.name, _app_cluster(route.name, route.target)) for route in routes if isinstance(route.target, App)
    )
    return found


def _app_cluster(name: str, app: App) -> Json:
    addresses = [{"socket_address": {"address": e.host, "port_value": e.port}} for e in app.endpoints]
    protocol = (
        {"http2_protocol_options": {}}
        if app.protocol == "h2c"
        else {"http_protocol_options": {"enable_trailers": True}}
    )
    return {**_cluster(name, addresses, protocol, app.keep_alive_seconds), "outlier_detection": _OUTLIERS}


def _files_cluster(socket: Path) -> Json:
    return _cluster(FILES_CLUSTER, [{"pipe": {"path": str(socket)}}], {"http_protocol_options": {}}, 60)


def _cluster(name: str, addresses: list[Json], protocol: Json, keep_alive_seconds: int) -> Json:
    options = f"{_TYPE}envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "@type": f"{_TYPE}envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": _CIRCUIT_BREAKERS,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                # The edge must close idle connections before the app does: a request sent meanwhile is lost.
                "common_http_protocol_options": {"idle_timeout": f"{keep_alive_seconds}s"},
                "explicit_http_config": protocol,
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}],
        },
    }


def route_table(routes: Iterable[Route], *, releases: Path) -> Json:
    """The route configuration `main`: every host, and 404 for all others."""
    hosts: list[Json] = [
        {"name": route.name, "domains": list(route.hosts), "routes": _routes(route, releases)} for route in routes
    ]
    nobody = {"status": 404, "body": {"inline_string": "No app has this name here."}}
    hosts.append(
        {
            "name": UNKNOWN_ROUTE,
            "domains": ["*"],
            "routes": [{"name": UNKNOWN_ROUTE, "match": {"prefix": "/"}, "direct_response": nobody}],
        }
    )
    return {
        "@type": f"{_TYPE}envoy.config.route.v3.RouteConfiguration",
        "name": "main",
        # Not strip_any_host_port: apps build absolute links from Host and need the port.
        "ignore_port_in_host_matching": True,
        "request_headers_to_remove": ["x-envoy-external-address"],
        "virtual_hosts": hosts,
    }


def _routes(route: Route, releases: Path) -> list[Json]:
    match route.target:
        case App():
            return _proxied(route.name, route.name)
        case Static(release=release, fallback=fallback):
            headers = {RELEASE_HEADER: _inside(release, releases), FALLBACK_HEADER: fallback or ""}
            # After a rollback the time of the last change runs backwards, and a browser that asks by time would keep
            # the newer page: only ETags may decide.
            by_etag_only = {
                "request_headers_to_add": [_header(name, value) for name, value in headers.items()],
                "request_headers_to_remove": ["if-modified-since", "if-unmodified-since"],
                "response_headers_to_remove": ["last-modified", "server"],
            }
            return [{**entry, **by_etag_only} for entry in _proxied(route.name, FILES_CLUSTER)]
        case Paused():
            paused = {"status": 503, "body": {"inline_string": "This app is paused."}}
            retry_after = [_header("retry-after", str(RETRY_AFTER_SECONDS))]
            return [
                {
                    "name": route.name,
                    "match": {"prefix": "/"},
                    "direct_response": paused,
                    "response_headers_to_add": retry_after,
                }
            ]


def _header(name: str, value: str) -> Json:
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        "keep_empty_value": True,
    }


def _proxied(name: str, cluster: str) -> list[Json]:
    """Two routes: requests that may be repeated are also repeated when the instance dies while it answers."""
    repeatable = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}}
    return [
        {
            "name": name,
            "match": {"prefix": "/", "headers": [repeatable]},
            "route": _forward(cluster, f"{_SAFE_FAILURES},reset"),
        },
        {"name": name, "match": {"prefix": "/"}, "route": _forward(cluster, _SAFE_FAILURES)},
    ]


def _forward(cluster: str, retry_on: str) -> Json:
    predicate = f"{_TYPE}envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "cluster": cluster,
        # Streams, uploads and gRPC calls take as long as they take.
        "timeout": "0s",
        "retry_policy": {
            "retry_on": retry_on,
            "num_retries": 3,
            "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.1s"},
            "host_selection_retry_max_attempts": 5,
            "retry_host_predicate": [
                {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": predicate}}
            ],
        },
    }
