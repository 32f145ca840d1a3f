"""openapi.json and behavior.json → the IR. Refuses what the profile does not allow, with the place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import names
from .ir import Answer, Api, Error, Event, Method, Model, Param, Scalar, Service
from .schemas import Json, ProfileError, Schemas, ref_name

_METHODS = ("get", "post", "put", "patch", "delete")
_STRING = Scalar("string")
_ENVELOPE = ("MetaOut", "Pagination", "Warning", "ErrorBody", "FieldError")


def read(document: Path, behavior: Path) -> Api:
    """Raises ProfileError."""
    return api(json.loads(document.read_text()), json.loads(behavior.read_text()))


def api(document: Json, behavior: Json) -> Api:
    """The IR of a parsed document. Raises ProfileError."""
    schemas = Schemas(document["components"]["schemas"])
    methods: list[Method] = []
    for path, operations in document["paths"].items():
        for http_method, operation in operations.items():
            if http_method not in _METHODS:
                raise ProfileError(f"{http_method.upper()} {path}: no such method in the profile")
            methods.append(_method(operation, http_method.upper(), path, schemas))
    twice = {each.id for each in methods if sum(other.id == each.id for other in methods) > 1}
    if twice:
        raise ProfileError(f"{', '.join(sorted(twice))}: the same operationId twice")
    events = tuple(_event(name, item, schemas) for name, item in sorted(document.get("webhooks", {}).items()))
    envelope = _envelope(document["components"]["schemas"])
    return Api(
        title=document["info"]["title"],
        version=document["info"]["version"],
        services=_services(methods, behavior["helpers"]),
        models=dict(sorted(schemas.models.items())),
        enums=dict(sorted(schemas.enums.items())),
        unions=dict(sorted(schemas.unions.items())),
        envelope=envelope,
        events=events,
        behavior=behavior,
    )


def _services(methods: list[Method], helpers: Mapping[str, list[str]]) -> tuple[Service, ...]:
    nouns = sorted({method.noun for method in methods} | set(helpers))
    return tuple(
        Service(
            name=noun,
            methods=tuple(sorted((each for each in methods if each.noun == noun), key=lambda each: each.verb)),
            helpers=tuple(helpers.get(noun, ())),
        )
        for noun in nouns
    )


def _method(operation: Json, http_method: str, path: str, schemas: Schemas) -> Method:
    where = f"{http_method} {path}"
    noun, dot, verb = operation.get("operationId", "").partition(".")
    if not dot or "." in verb:
        raise ProfileError(f"{where}: operationId must be noun.verb")
    owner = names.pascal(noun) + names.pascal(verb)
    parameters: list[Json] = operation.get("parameters", [])
    body, media = _body(operation, where, schemas)
    query = tuple(_query(one, owner, schemas) for one in parameters if one["in"] == "query")
    fields = {field.name for field in schemas.models[body].fields} if body else set[str]()
    if clash := fields & {param.name for param in query}:
        raise ProfileError(f"{where}: {', '.join(sorted(clash))} is both in the body and in the query")
    return Method(
        id=operation["operationId"],
        noun=noun,
        verb=verb,
        http_method=http_method,
        path=path,
        summary=operation["summary"],
        path_params=tuple(_path(one, path) for one in parameters if one["in"] == "path"),
        query=query,
        body=body,
        media=media,
        answer=_answer(operation, where, schemas),
        errors=tuple(Error(int(status), tuple(codes)) for status, codes in operation.get("x-cygni-errors", {}).items()),
        scope=operation.get("x-cygni-scope"),
        is_public=operation.get("security") == [{}],
        headers=tuple(one["name"] for one in parameters if one["in"] == "header"),
        example=operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example"),
    )


def _path(parameter: Json, path: str) -> Param:
    """`{id}` is named after its collection: `/projects/{id}` → projectId."""
    wire = parameter["name"]
    collection = path.partition(f"/{{{wire}}}")[0].rpartition("/")[2]
    name = names.camel(names.singular(collection) + "-id") if wire == "id" else wire
    return Param(name, wire, type=_STRING, required=True, doc=parameter.get("description", ""))


def _query(parameter: Json, owner: str, schemas: Schemas) -> Param:
    name = names.camel(parameter["name"])
    kind = schemas.type(parameter["schema"], owner, name, "input")
    return Param(name, parameter["name"], kind, bool(parameter.get("required")), parameter.get("description", ""))


def _body(operation: Json, where: str, schemas: Schemas) -> tuple[str | None, tuple[str, ...]]:
    content: Json = operation.get("requestBody", {}).get("content", {})
    if operation.get("x-cygni-body") == "binary":
        return None, tuple(content)
    if not content:
        return None, ()
    if set(content) != {"application/json"}:
        raise ProfileError(f"{where}: a body that is not JSON needs x-cygni-body")
    schema = content["application/json"]["schema"]
    if set(schema) != {"$ref"}:
        raise ProfileError(f"{where}: a body must be a named schema")
    return schemas.model(ref_name(schema), "input"), ()


def _answer(operation: Json, where: str, schemas: Schemas) -> Answer:
    successes = [status for status in operation["responses"] if status.startswith("2")]
    if len(successes) != 1:
        raise ProfileError(f"{where}: must have one success answer")
    status = int(successes[0])
    content: Json = operation["responses"][successes[0]].get("content", {})
    stream = operation.get("x-cygni-stream")
    if stream == "sse":
        return Answer("sse", status, schemas.model(ref_name(content["text/event-stream"]["schema"]), "output"))
    if stream == "bytes":
        return Answer("bytes", status)
    if not content:
        return Answer("none", status)
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        raise ProfileError(f"{where}: an answer that is not JSON needs x-cygni-stream")
    if "$ref" not in schema:
        return Answer("document", status)
    data = schemas.envelope_data(ref_name(schema), where)
    if operation.get("x-cygni-page"):
        if data.get("type") != "array":
            raise ProfileError(f"{where}: a page's data must be an array")
        return Answer("page", status, schemas.model(ref_name(data["items"]), "output"))
    if "$ref" not in data:
        raise ProfileError(f"{where}: data must be a named schema; x-cygni-page is for lists")
    return Answer("model", status, schemas.model(ref_name(data), "output"))


def _event(name: str, item: Json, schemas: Schemas) -> Event:
    try:
        schema = item["post"]["requestBody"]["content"]["application/json"]["schema"]
        return Event(name, schemas.model(ref_name(schema), "output"), item["post"].get("summary", ""))
    except KeyError as error:
        raise ProfileError(f"webhook {name}: must be a POST with a named JSON body") from error


def _envelope(named: Mapping[str, Any]) -> tuple[Model, ...]:
    apart = Schemas(named)
    for name in _ENVELOPE:
        if name in named:
            apart.model(name, "output")
    return tuple(model for _, model in sorted(apart.models.items()))
