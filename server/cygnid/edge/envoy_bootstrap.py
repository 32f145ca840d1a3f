"""What Envoy is started with: its bootstrap and its one listener. Pure, as `envoy_config`."""

from typing import Any

from cygnid.edge.envoy_config import EdgeConfig, Json

_TYPE = "type.googleapis.com/"
STAT_PREFIX = "apps"


def bootstrap(config: EdgeConfig) -> Json:
    limit = f"{_TYPE}envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    kept = [{"prefix": p} for p in ("http.", "server.", "listener", "cluster_manager", "filesystem")]
    return {
        "node": {"id": "edge", "cluster": "cygni"},
        "admin": {"address": {"pipe": {"path": str(config.admin_socket), "mode": 0o600}}},
        # All statistics of every cluster would double the memory at a thousand apps.
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [*kept, {"suffix": "upstream_rq_active"}]}}},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {"@type": limit, "max_active_downstream_connections": config.max_connections},
                }
            ]
        },
        "dynamic_resources": {"lds_config": _file(config.lds_file), "cds_config": _file(config.cds_file)},
    }


def listener(config: EdgeConfig) -> Json:
    address = {"socket_address": {"address": config.listen_host, "port_value": config.listen_port}}
    return {
        "@type": f"{_TYPE}envoy.config.listener.v3.Listener",
        "name": STAT_PREFIX,
        "address": address,
        # The next process listens beside this one before it leaves.
        "enable_reuse_port": True,
        "per_connection_buffer_limit_bytes": 65536,
        "filter_chains": [
            {
                "name": STAT_PREFIX,
                "filters": [
                    {"name": "envoy.filters.network.http_connection_manager", "typed_config": _connections(config)}
                ],
            }
        ],
    }


def _file(path: object) -> Json:
    # The path alone, no watched_directory: that fires for every rename in the folder, not only for this file's.
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _connections(config: EdgeConfig) -> Json:
    router = f"{_TYPE}envoy.extensions.filters.http.router.v3.Router"
    log = f"{_TYPE}envoy.extensions.access_loggers.file.v3.FileAccessLog"
    idle = f"{config.idle_seconds}s"
    return {
        "@type": f"{_TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": STAT_PREFIX,
        "codec_type": "AUTO",
        "use_remote_address": True,
        "http_filters": [
            _malformed_hosts_refused(),
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": router, "suppress_envoy_headers": True},
            },
        ],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "rds": {"route_config_name": "main", "config_source": _file(config.rds_file)},
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": log,
                    "path": str(config.access_log),
                    "log_format": {"json_format": ACCESS_LOG},
                },
            }
        ],
        "local_reply_config": {"mappers": _error_pages()},
        "generate_request_id": True,
        "preserve_external_request_id": False,
        "always_set_request_id_in_response": True,
        "server_header_transformation": "PASS_THROUGH",
        "normalize_path": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "max_request_headers_kb": 60,
        "request_headers_timeout": "10s",
        "stream_idle_timeout": idle,
        "strip_trailing_host_dot": True,
        "common_http_protocol_options": {"idle_timeout": "300s"},
        "http_protocol_options": {"enable_trailers": True},
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 1048576,
        },
        "early_header_mutation_extensions": [_forgeries_dropped()],
    }


ACCESS_LOG: dict[str, str] = {
    "t": "%START_TIME%",
    "id": "%REQ(X-REQUEST-ID)%",
    "route": "%ROUTE_NAME%",
    "ip": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "ua": "%REQ(USER-AGENT)%",
    "inst": "%UPSTREAM_HOST%",
    "host": "%REQ(:AUTHORITY)%",
    "m": "%REQ(:METHOD)%",
    # NQ: without the query, which may carry secrets.
    "path": "%PATH(NQ:PATH)%",
    "s": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "ms": "%DURATION%",
    "in": "%BYTES_RECEIVED%",
    "out": "%BYTES_SENT%",
    "tries": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
}
"""One line of the access log; `route` is the environment's id, or `unknown`."""


def _malformed_hosts_refused() -> Json:
    """Which app is meant is judged without the port, so anything might stand in its place: an app that makes links of
    its Host would send its visitors to `evil.com` for `app.localhost:1@evil.com`."""
    rules = f"{_TYPE}envoy.extensions.filters.http.rbac.v3.RBAC"
    well_formed = {"safe_regex": {"regex": "[^:]*(:[0-9]{1,5})?"}}
    # most hosts name no port: the look for a colon spares them the expression
    with_colon = {"header": {"name": ":authority", "string_match": {"contains": ":"}}}
    malformed = {"header": {"name": ":authority", "string_match": well_formed, "invert_match": True}}
    policy = {"permissions": [{"and_rules": {"rules": [with_colon, malformed]}}], "principals": [{"any": True}]}
    return {
        "name": "envoy.filters.http.rbac",
        "typed_config": {"@type": rules, "rules": {"action": "DENY", "policies": {"host": policy}}},
    }


def _forgeries_dropped() -> Json:
    """Headers by which a client could pose as the edge; X-Forwarded-Proto is overwritten by Envoy anyway."""
    mutation = f"{_TYPE}envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    names = ("forwarded", "x-real-ip", "true-client-ip", "x-client-ip", "x-cluster-client-ip")
    # frameworks take these for the path, and CGI programs the last for the proxy of their own requests (CVE-2016-5385)
    names += ("x-original-url", "x-rewrite-url", "proxy")
    prefixes = ("x-forwarded-", "x-cygni-", "x-envoy-")
    removals: list[Json] = [{"remove": name} for name in names]
    removals += [{"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in prefixes]
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {"@type": mutation, "mutations": removals},
    }


def _error_pages() -> list[Json]:
    """Pages for answers that the edge makes itself; an app's own are never touched. Which connection failed is for
    the log, not for the visitor."""
    no_answer = {"response_flag_filter": {"flags": ["UF", "UC", "UR", "UH", "NC", "LR", "URX"]}}
    too_slow = {"response_flag_filter": {"flags": ["UT", "SI", "UMSDR"]}}
    refused = _status("EQ", 403, "edge.refused")
    error = _status("GE", 400, "edge.error_pages_from")
    return [
        {"filter": no_answer, "status_code": 502, **_page("502", "The app did not answer.")},
        {"filter": too_slow, "status_code": 504, **_page("504", "The app took too long to answer.")},
        {"filter": refused, "status_code": 400, **_page("400", "The Host header is malformed.")},
        {"filter": error, **_page("%RESPONSE_CODE%", "%LOCAL_REPLY_BODY%")},
    ]


def _status(comparison: str, status: int, runtime_key: str) -> Json:
    value = {"default_value": status, "runtime_key": runtime_key}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}


def _page(title: str, text: str) -> dict[str, Any]:
    html = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><style>body{font:16px/1.5 system-ui,sans-serif;'
        "max-width:36rem;margin:20vh auto;padding:0 1rem;color:#222}code{color:#666}</style>"
        f"<h1>{title}</h1><p>{text}<p><code>Request %REQ(X-REQUEST-ID)%</code></html>\n"
    )
    return {
        "body_format_override": {
            "text_format_source": {"inline_string": html},
            "content_type": "text/html; charset=utf-8",
        }
    }
