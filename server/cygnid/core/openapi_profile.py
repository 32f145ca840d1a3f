"""The small part of OpenAPI that the document keeps to, so that generators of clients need know no more.

Named schemas; objects, arrays, maps, enums; nullable as `type: [x, "null"]` or `anyOf` of a reference or union and
null; unions with a discriminator; no `allOf`, no anonymous objects; each operation with one success answer.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_JSON_TYPES: dict[type, str] = {str: "string", int: "integer", bool: "boolean"}
_KEYWORDS = {
    "type", "properties", "required", "items", "enum", "anyOf", "oneOf", "discriminator", "$ref", "format",
    "additionalProperties", "description", "default", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minLength", "maxLength", "minItems", "maxItems", "pattern", "propertyNames", "minProperties", "maxProperties",
    "examples",
}  # fmt: skip
_METHODS = ("get", "post", "put", "patch", "delete")


def strict(schema: Any) -> Any:
    """A schema of msgspec in the profile's form: no titles, typed enums, one way of saying nullable."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]  # type: ignore[reportUnknownVariableType]
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():  # type: ignore[reportUnknownVariableType]
        if key == "properties":
            found[key] = {name: strict(part) for name, part in value.items()}  # type: ignore[reportUnknownVariableType]
        elif key in ("default", "examples", "enum", "required"):
            found[key] = value
        elif key != "title":
            found[str(key)] = strict(value)
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if "enum" in found and "type" not in found:
        kinds = {_JSON_TYPES[type(value)] for value in found["enum"] if value is not None}
        if len(kinds) == 1:
            found["type"] = [*kinds, "null"] if None in found["enum"] else kinds.pop()
    return _nullable(found)


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    choices = schema.get("anyOf", [])
    others = [choice for choice in choices if choice != {"type": "null"}]
    if len(others) != 1 or len(choices) != 2 or not isinstance(others[0].get("type"), str):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    merged = {**others[0], **rest, "type": [others[0]["type"], "null"]}
    if "enum" in merged:
        merged["enum"] = [*merged["enum"], None]
    return merged


def violations(document: Mapping[str, Any]) -> list[str]:
    """What the profile does not allow, each with its place."""
    found: list[str] = []
    named = document["components"]["schemas"]
    for name, schema in named.items():
        found += _schema(schema, name, named, is_named=True)
    ids: list[str] = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method.upper()} {path}"
            if method not in _METHODS:
                found.append(f"{where}: no such method in the profile")
                continue
            ids.append(operation["operationId"])
            found += _operation(operation, where, path, named)
    found += [f"{twice}: the same operationId twice" for twice in sorted({each for each in ids if ids.count(each) > 1})]
    return found


def _operation(operation: Mapping[str, Any], where: str, path: str, named: Mapping[str, Any]) -> Iterator[str]:
    if operation["operationId"].count(".") != 1:
        yield f"{where}: operationId must be noun.verb"
    successes = [status for status in operation["responses"] if status.startswith("2")]
    if len(successes) != 1:
        yield f"{where}: must have one success answer"
    for parameter in operation["parameters"]:
        here = f"{where} {parameter['name']}"
        if parameter["in"] == "path" and not parameter.get("description"):
            yield f"{here}: a part of the path must be described"
        if parameter["in"] == "path" and f"{{{parameter['name']}}}" not in path:
            yield f"{here}: is not in the path"
        yield from _schema(parameter["schema"], here, named)
    stream, binary = operation.get("x-cygni-stream"), operation.get("x-cygni-body")
    for status in successes:
        for media, body in operation["responses"][status].get("content", {}).items():
            if media != "application/json" and stream is None:
                yield f"{where}: {media} needs x-cygni-stream"
            if media == "application/json" and not operation["operationId"].endswith(".openapi"):
                yield from _reference(body, f"{where} {status}")
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        if binary is None and media != "application/json":
            yield f"{where}: {media} needs x-cygni-body"
        if binary is None:
            yield from _reference(body, f"{where} body")


def _reference(body: Mapping[str, Any], where: str) -> Iterator[str]:
    if set(body["schema"]) != {"$ref"}:
        yield f"{where}: must be a named schema"


def _schema(
    schema: Mapping[str, Any], where: str, named: Mapping[str, Any], *, is_named: bool = False
) -> Iterator[str]:
    unknown = set(schema) - _KEYWORDS
    if unknown:
        yield f"{where}: {', '.join(sorted(unknown))} is not in the profile"
    if "$ref" in schema and schema["$ref"].rpartition("/")[2] not in named:
        yield f"{where}: {schema['$ref']} leads nowhere"
    if schema.get("properties") is not None and not is_named:
        yield f"{where}: an object must be a named schema"
    for name, part in schema.get("properties", {}).items():
        yield from _schema(part, f"{where}.{name}", named)
    if "items" in schema:
        yield from _schema(schema["items"], f"{where}[]", named)
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from _schema(schema["additionalProperties"], f"{where}{{}}", named)
    choices = schema.get("anyOf", [])
    others = [choice for choice in choices if choice != {"type": "null"}]
    if len(others) > 1 and "discriminator" not in schema:
        yield f"{where}: a union needs a discriminator"
    if len(others) == 1 and "$ref" not in others[0] and "discriminator" not in others[0]:
        yield f"{where}: nullable is type: [x, null]"
    for choice in others:
        yield from _schema(choice, f"{where}|", named)
    if not schema.keys() & {"type", "$ref", "anyOf", "oneOf"}:
        yield f"{where}: has no type"
