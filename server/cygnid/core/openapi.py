"""The OpenAPI 3.1 document, from the table of operations and msgspec's schemas: the same table that serves.

Kept to a small profile that generators can trust: named schemas, one success answer an operation, `operationId`
`noun.verb`, output fields required, errors listed by class.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

import msgspec

from cygnid.core import convert, schemas
from cygnid.core.access import GUARDED
from cygnid.core.errors import (
    CygniError,
    EnvironmentProtected,
    Forbidden,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InsufficientScope,
    InternalError,
    NotFound,
    PreconditionFailed,
    RateLimited,
    SessionRequired,
    Unauthorized,
    Unavailable,
    UnknownParameter,
    UnsupportedMediaType,
    ValidationError,
)
from cygnid.core.http import Operation
from cygnid.core.openapi_links import links_of
from cygnid.core.openapi_profile import strict
from cygnid.core.schemas import Page

_REF = "#/components/schemas/{name}"
_PATH_WORDS = {
    "name": "Which environment, by its name.",
    "environment": "Which environment, by its name.",
    "type": "Which type of process: web, or another of the project's.",
    "key": "The name of a variable.",
    "provider": "Which provider, by its id in GET /v1/auth/methods.",
}
_ASKED = {
    "If-None-Match": "An ETag that the client has: the answer is 304 if nothing has changed.",
    "If-Match": "The ETag that the client read: 412 if somebody has changed the resource since.",
    "Idempotency-Key": "A key of the client's choice, at most 255 characters; the same request sent again with it is"
    " answered with the stored answer for 24 hours.",
    "Last-Event-ID": "The id of the last frame that was received: the stream goes on after it.",
    "Content-Range": "`bytes first-last/size`, where the body is a part.",
}
_FORMS: dict[str, dict[str, Any]] = {
    "If-Match": {"pattern": r'^(\*|"[A-Za-z0-9_-]{22}\.[0-9]{1,18}")$'},
    "Idempotency-Key": {"pattern": r'^("([ !#-\[\]-~]|\\["\\]){1,255}"|[!#-\[\]-~]{1,255})$'},
}
_FOUND = {
    "page": "Which page, from 1; the first 10,000 rows have numbers.",
    "limit": "How many rows a page has.",
    "cursor": "`nextCursor` or `prevCursor` of another page, in place of `page`.",
    "sort": "Fields by commas, each with `-` before it for the highest first.",
    "search": "A part of the text, in capitals or not.",
    "teamId": "Of this team only.",
    "projectId": "Of this project only: its id or name.",
}
_RATE_HEADERS = ["RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]
_HEADERS: dict[str, dict[str, Any]] = {
    name: {"description": text, "schema": {"type": kind}}
    for name, kind, text in (
        ("X-Request-Id", "string", "Names this request, in the logs too."),
        ("ETag", "string", "Names this state of the resource, for If-None-Match and If-Match."),
        ("Location", "string", "Where the new resource is."),
        ("Link", "string", "Other pages of the list (RFC 8288): first, prev, next, last."),
        ("Retry-After", "integer", "Seconds to wait."),
        ("RateLimit", "string", "What is left of the scarcest window; absent on plans without limits, as the others."),
        ("RateLimit-Policy", "string", "Every window with its quota."),
        ("X-RateLimit-Limit", "integer", "Requests in the scarcest window."),
        ("X-RateLimit-Remaining", "integer", "What is left of them."),
        ("X-RateLimit-Reset", "integer", "When the window ends, in seconds since 1970."),
    )
}

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


def document(operations: Sequence[Operation], *, version: str) -> dict[str, Any]:
    """The whole document, paths and schemas in a fixed order."""
    envelopes = {
        item.id: _envelope(item) for item in operations if item.status != 204 and item.kind in ("json", "receive")
    }
    frames = [item.result for item in operations if item.kind == "events"]
    inputs = [item.data for item in operations if item.data is not None]
    kinds = sorted({*envelopes.values(), *frames, *inputs, ErrorAnswer}, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for item in sorted(operations, key=lambda item: (item.path, item.method)):
        operation = paths.setdefault(item.path, {})[item.method.lower()] = _operation(item, envelopes.get(item.id))
        if links := links_of(item, operations):
            operation["responses"][str(item.status)]["links"] = links
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cygni",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "https://api.cygni.dev", "description": "Stands for your own installation's URL."}],
        "paths": paths,
        "components": {
            "headers": _HEADERS,
            "schemas": {name: strict(schema) for name, schema in sorted(components.items())},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def errors_of(item: Operation) -> list[type[CygniError]]:
    """What the door itself may answer for this operation, and what the endpoint declares."""
    found: list[type[CygniError]] = [ValidationError, UnknownParameter, InternalError, Unavailable, *item.errors]
    # also where no token is needed: a wrong one is not taken for none
    found.append(Unauthorized)
    if item.charged:
        found.append(RateLimited)
    if item.needs == "session":
        found += [SessionRequired]
    elif item.needs not in ("public", "any"):
        found += [InsufficientScope, Forbidden, NotFound]
    if item.needs in GUARDED:
        found.append(EnvironmentProtected)
    if item.data is not None or item.kind == "receive":
        found.append(UnsupportedMediaType)
    if item.replayable:
        found += [IdempotencyInProgress, IdempotencyKeyReused]
    return sorted(set(found), key=lambda error: (error.status, error.code))


def _operation(item: Operation, envelope: type[msgspec.Struct] | None) -> dict[str, Any]:
    answers: dict[str, Any] = {str(item.status): _success(item, envelope)}
    if _is_tagged(item):
        answers["304"] = {"description": "Not modified: the client has it already. Not charged."}
    codes: dict[int, list[str]] = {}
    for error in errors_of(item):
        codes.setdefault(error.status, []).append(error.code)
    for status, names in codes.items():
        answers[str(status)] = {"description": ", ".join(names), "content": _json(ErrorAnswer)}
        if status in (429, 503):
            answers[str(status)]["headers"] = {"Retry-After": _header("Retry-After")}
    out: dict[str, Any] = {
        "operationId": item.id,
        "summary": item.summary,
        "tags": [item.id.partition(".")[0]],
        "security": [{}] if item.needs == "public" else [{"token": []}],
        "parameters": [*_path(item), *_query(item), *_headers(item)],
        "responses": answers,
        "x-cygni-errors": {str(status): names for status, names in codes.items()},
    }
    if item.needs not in ("public", "any"):
        out["x-cygni-scope"] = item.needs
    if get_origin(item.result) is Page:
        out["x-cygni-page"] = "page"
    if item.kind == "events":
        out["x-cygni-stream"] = "sse"
    if item.kind == "download":
        out["x-cygni-stream"] = "bytes"
    if item.kind == "receive":
        out["x-cygni-body"] = "binary"
        out["requestBody"] = {"required": True, "content": dict.fromkeys(item.media, _BINARY)}
    elif item.data is not None:
        example = {} if item.example is None else {"example": dict(item.example)}
        out["requestBody"] = {
            "required": True,
            "content": {"application/json": _json(item.data)["application/json"] | example},
        }
    return out


def _header(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/headers/{name}"}


def _is_tagged(item: Operation) -> bool:
    return item.method == "GET" and item.kind not in ("events", "download")


def _success(item: Operation, envelope: type[msgspec.Struct] | None) -> dict[str, Any]:
    names = ["X-Request-Id"]
    if item.charged:
        names += _RATE_HEADERS
    if _is_tagged(item):
        names.append("ETag")
    if item.status == 201:
        names.append("Location")
    if get_origin(item.result) is Page:
        names.append("Link")
    found: dict[str, Any] = {"description": "Success", "headers": {name: _header(name) for name in sorted(names)}}
    if item.kind == "events":
        # of each frame's data; a client parses the stream by the rules of server-sent events
        found["content"] = {"text/event-stream": {"schema": {"$ref": _REF.format(name=item.result.__name__)}}}
    elif item.kind == "download":
        found["content"] = dict.fromkeys(item.media, _BINARY)
    elif envelope is not None:
        found["content"] = _json(envelope)
    elif item.status != 204:
        found["content"] = {"application/json": {"schema": {"type": "object"}}}
    return found


def _path(item: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in item.path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "description": _said(item, name), "schema": {"type": "string"}}
        for name in names
    ]


def _said(item: Operation, name: str) -> str:
    """What a part of the path is: `id` is of the collection before it."""
    before = item.path.partition(f"/{{{name}}}")[0].rpartition("/")[2]
    noun = before.replace("-", " ").removesuffix("s")
    return _PATH_WORDS.get(name) or f"Which {noun}: its id{' or name' if before == 'projects' else ''}."


def _query(item: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, field in convert.allowed(item.query).items():
        (schema,), _ = msgspec.json.schema_components([field.type], ref_template=_REF)
        schema = strict(_plain(schema))
        entry: dict[str, Any] = {"name": name, "in": "query", "required": field.required, "schema": schema}
        if convert.is_time(field.type):
            entry["description"] = "A date-time, or a date, which is its beginning in UTC."
        elif name in _FOUND:
            entry["description"] = _FOUND[name]
        if schema.get("type") == "array":
            entry |= {"style": "form", "explode": False}
            schema["minItems"] = 1
            if schema["items"].get("type") == "string" and "enum" not in schema["items"]:
                schema["items"] = {"pattern": "^[^,]+$"} | schema["items"]
        found.append(entry)
    return found


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter that is absent is absent: no null in a query string."""
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    return dict(choices[0] if len(choices) == 1 else schema)


def _headers(item: Operation) -> list[dict[str, Any]]:
    names: list[str] = []
    if _is_tagged(item):
        names.append("If-None-Match")
    if item.kind == "events":
        names.append("Last-Event-ID")
    if item.kind == "receive":
        names.append("Content-Range")
    if PreconditionFailed in item.errors:
        names.append("If-Match")
    if item.replayable:
        names.append("Idempotency-Key")
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": _ASKED[name],
            "schema": {"type": "string"} | _FORMS.get(name, {}),
        }
        for name in names
    ]


def _json(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}


def _envelope(item: Operation) -> type[msgspec.Struct]:
    """`ProjectAnswer` {data: Project, meta}, `ProjectPage` {data: Project[], meta}: named, no generics on the wire."""
    if get_origin(item.result) is Page:
        inner = get_args(item.result)[0]
        name, data = f"{inner.__name__}Page", list[inner]
    else:
        name, data = f"{item.result.__name__}Answer", item.result
    return _ENVELOPES.setdefault(
        name, msgspec.defstruct(name, [("data", data), ("meta", schemas.MetaOut)], frozen=True, kw_only=True)
    )


_ENVELOPES: dict[str, type[msgspec.Struct]] = {}


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    error: schemas.ErrorBody
    meta: schemas.MetaOut
