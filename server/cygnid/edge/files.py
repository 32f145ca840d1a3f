"""The shared file server of all static sites: one Caddy behind the edge. Pure: its configuration only.

It knows no site. The edge names the release folder (below the releases) and the fallback in two headers that clients
cannot send, and only the edge's group may connect to the socket.
"""

from pathlib import Path
from typing import Any

from cygnid.edge.envoy_config import FALLBACK_HEADER, PATH_INSIDE, RELEASE_HEADER

Json = dict[str, Any]

_RELEASE = f"{{http.request.header.{RELEASE_HEADER}}}"
_FALLBACK = f"{{http.request.header.{FALLBACK_HEADER}}}"
_PATH = "{http.request.uri.path}"
# Go's own table ends here; what it lacks it would take from the machine's /etc/mime.types, or send without a type.
CONTENT_TYPES = {
    "application/manifest+json": ("webmanifest",),
    "application/json": ("map", "geojson"),
    "application/rss+xml": ("rss",),
    "application/atom+xml": ("atom",),
    "application/zip": ("zip",),
    "application/wasm": ("wasm",),
    "application/vnd.ms-fontobject": ("eot",),
    "audio/flac": ("flac",),
    "audio/mpeg": ("mp3",),
    "audio/mp4": ("m4a",),
    "audio/ogg": ("ogg", "oga", "opus"),
    "audio/wav": ("wav",),
    "font/otf": ("otf",),
    "font/ttf": ("ttf",),
    "font/woff": ("woff",),
    "font/woff2": ("woff2",),
    "image/avif": ("avif",),
    "image/bmp": ("bmp",),
    "image/x-icon": ("ico",),
    "text/css; charset=utf-8": ("css",),
    "text/csv; charset=utf-8": ("csv",),
    "text/html; charset=utf-8": ("html", "htm"),
    "text/javascript; charset=utf-8": ("js", "mjs", "cjs"),
    "text/markdown; charset=utf-8": ("md",),
    "text/plain; charset=utf-8": ("txt", "text", "log"),
    "text/vtt; charset=utf-8": ("vtt",),
    "text/xml; charset=utf-8": ("xml",),
    "video/mp4": ("mp4", "m4v"),
    "video/ogg": ("ogv",),
    "video/quicktime": ("mov",),
    "video/webm": ("webm",),
}


def files_config(*, socket: Path, releases: Path) -> Json:
    """Caddy's JSON: a release's files with ETags, ranges and precompressed variants; its 404.html; no listings."""
    site = {"handler": "vars", "root": f"{releases}/{_RELEASE}"}
    found: list[Json] = [
        {"match": [{"not": [_a_release()]}], "handle": [_fail(404)], "terminal": True},
        {"handle": [site]},
        {"match": [_hidden()], "handle": [_fail(404)], "terminal": True},
        {"match": _missing_with_fallback(), "handle": [{"handler": "rewrite", "uri": f"/{_FALLBACK}"}]},
        *_content_types(),
        {"handle": [_file_server()]},
    ]
    own_page = {"file": {"root": "{http.vars.root}", "try_files": ["/404.html"]}}
    failed: list[Json] = [
        {
            "match": [
                {"expression": "{http.error.status_code} == 404", "header_regexp": _a_release()["header_regexp"]}
            ],
            "handle": [
                site,
                {
                    "handler": "subroute",
                    "routes": [
                        {
                            "match": [own_page],
                            "handle": [
                                {"handler": "rewrite", "method": "GET", "uri": "/404.html"},
                                _type("text/html; charset=utf-8"),
                                {**_file_server(), "status_code": "404"},
                            ],
                            "terminal": True,
                        },
                        {"handle": [*_error_page()]},
                    ],
                },
            ],
            "terminal": True,
        },
        {"handle": [*_error_page()]},
    ]
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {
            "http": {
                "grace_period": "20s",
                "servers": {
                    "files": {
                        "listen": [f"unix/{socket}|0660"],
                        "protocols": ["h1"],
                        "automatic_https": {"disable": True},
                        "routes": found,
                        "errors": {"routes": failed},
                    }
                },
            }
        },
    }


def _a_release() -> Json:
    # Without one the root would be the folder of all releases.
    return {"header_regexp": {RELEASE_HEADER: {"pattern": f"^{PATH_INSIDE}$"}}}


def _hidden() -> Json:
    """Dotfiles, but for `/.well-known/` (RFC 8615) and what in it does not itself begin with a dot."""
    allowed = {"path_regexp": {"pattern": r"^/+\.well-known(/+[^./][^/]*)*/*$"}}
    return {"path_regexp": {"pattern": r"/\."}, "not": [allowed]}


def _missing_with_fallback() -> list[Json]:
    """No file at this path, and none in a folder of that name, while the site has a fallback: either set matches."""
    has_fallback = {FALLBACK_HEADER: {"pattern": "."}}
    folder = {"path": ["*/"]}

    def no_file(*tries: str) -> Json:
        return {"file": {"root": "{http.vars.root}", "try_files": list(tries)}}

    return [
        {"header_regexp": has_fallback, "not": [folder, no_file(_PATH, f"{_PATH}/index.html")]},
        {"header_regexp": has_fallback, **folder, "not": [no_file(f"{_PATH}index.html")]},
    ]


def _content_types() -> list[Json]:
    return [
        {"match": [{"path": [f"*.{ending}" for ending in endings]}], "handle": [_type(content_type)]}
        for content_type, endings in CONTENT_TYPES.items()
    ]


def _type(content_type: str) -> Json:
    return {"handler": "headers", "response": {"set": {"Content-Type": [content_type]}}}


def _file_server() -> Json:
    return {
        "handler": "file_server",
        "root": "{http.vars.root}",
        "index_names": ["index.html"],
        "precompressed": {"br": {}, "zstd": {}, "gzip": {}},
        "precompressed_order": ["br", "zstd", "gzip"],
    }


def _fail(status: int) -> Json:
    return {"handler": "error", "status_code": status}


def _error_page() -> list[Json]:
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>{http.error.status_code}</title>'
        "<h1>{http.error.status_code}</h1><p>{http.error.status_text}"
        "<p><code>Request {http.request.header.x-request-id}</code></html>\n"
    )
    return [
        _type("text/html; charset=utf-8"),
        {"handler": "static_response", "status_code": "{http.error.status_code}", "body": html},
    ]
