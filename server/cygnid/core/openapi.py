"""The OpenAPI 3.1 document, from the table of operations and msgspec's schemas: the same table that serves.

Kept to a small profile that generators can trust: named schemas, one success answer an operation, `operationId`
`noun.verb`, output fields required, errors listed by class.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

import msgspec

from cygnid.core import convert, schemas
from cygnid.core.errors import (
    CygniError,
    Forbidden,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InsufficientScope,
    InternalError,
    NotFound,
    RateLimited,
    Unauthorized,
    UnknownParameter,
    UnsupportedMediaType,
    ValidationError,
)
from cygnid.core.http import Operation
from cygnid.core.schemas import Page

_REF = "#/components/schemas/{name}"


def document(operations: Sequence[Operation], *, version: str) -> dict[str, Any]:
    """The whole document, paths and schemas in a fixed order."""
    envelopes = {item.id: _envelope(item) for item in operations if item.status != 204}
    inputs = [item.data for item in operations if item.data is not None]
    kinds = sorted({*envelopes.values(), *inputs, ErrorAnswer}, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for item in sorted(operations, key=lambda item: (item.path, item.method)):
        paths.setdefault(item.path, {})[item.method.lower()] = _operation(item, envelopes.get(item.id))
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
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def errors_of(item: Operation) -> list[type[CygniError]]:
    """What the door itself may answer for this operation, and what the endpoint declares."""
    found: list[type[CygniError]] = [ValidationError, UnknownParameter, InternalError, *item.errors]
    if item.charged:
        found.append(RateLimited)
    if item.needs != "public":
        found += [Unauthorized]
    if item.needs not in ("public", "any"):
        found += [InsufficientScope, Forbidden, NotFound]
    if item.data is not None:
        found.append(UnsupportedMediaType)
    if item.replayable:
        found += [IdempotencyInProgress, IdempotencyKeyReused]
    return sorted(set(found), key=lambda error: (error.status, error.code))


def _operation(item: Operation, envelope: type[msgspec.Struct] | None) -> dict[str, Any]:
    answers: dict[str, Any] = {str(item.status): {"description": "Success"}}
    if envelope is not None:
        answers[str(item.status)]["content"] = _json(envelope)
    codes: dict[int, list[str]] = {}
    for error in errors_of(item):
        codes.setdefault(error.status, []).append(error.code)
    for status, names in codes.items():
        answers[str(status)] = {"description": ", ".join(names), "content": _json(ErrorAnswer)}
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
    if item.data is not None:
        out["requestBody"] = {"required": True, "content": _json(item.data)}
    return out


def _path(item: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in item.path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query(item: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, field in convert.allowed(item.query).items():
        (schema,), _ = msgspec.json.schema_components([field.type], ref_template=_REF)
        entry: dict[str, Any] = {"name": name, "in": "query", "required": field.required, "schema": _plain(schema)}
        if schema.get("type") == "array":
            entry |= {"style": "form", "explode": False}
        found.append(entry)
    return found


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter that is absent is absent: no null in a query string."""
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    return dict(choices[0] if len(choices) == 1 else schema)


def _headers(item: Operation) -> list[dict[str, Any]]:
    names = ["If-None-Match"] if item.method == "GET" else ["If-Match"]
    if item.replayable:
        names.append("Idempotency-Key")
    return [{"name": name, "in": "header", "required": False, "schema": {"type": "string"}} for name in names]


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
