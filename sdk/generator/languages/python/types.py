"""The IR's types and values in Python's words."""

from __future__ import annotations

import keyword
from typing import Any

from ...ir import Api, Const, ListOf, MapOf, Nullable, Ref, Scalar, Type
from ...names import escaped, snake

_RESERVED = frozenset(keyword.kwlist)
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "time": "datetime", "any": "Any"}


def name(wire: str) -> str:
    """An argument's, an attribute's or a method's name."""
    return escaped(snake(wire), _RESERVED)


def hint(api: Api, kind: Type, role: str, prefix: str = "") -> str:
    """The annotation; `role` is `output` (lenient: unknown enum values are text) or `input` (strict)."""
    match kind:
        case Scalar("time") if role == "input":
            return "datetime | str"
        case Scalar(scalar):
            return _SCALARS[scalar]
        case Const(value):
            return f"Literal[{value!r}]" if role == "input" else "str"
        case Ref(ref) if ref in api.enums:
            return f"{prefix}{ref}" if role == "input" else f"{prefix}{ref} | str"
        case Ref(ref) if ref in api.unions:
            return f"{prefix}{ref}"
        case Ref(ref):
            return f"{prefix}{ref}Input" if role == "input" and api.models[ref].is_output else f"{prefix}{ref}"
        case ListOf(item):
            inner = hint(api, item, role, prefix)
            return f"Sequence[{inner}]" if role == "input" else f"list[{inner}]"
        case MapOf(value):
            inner = hint(api, value, role, prefix)
            return f"Mapping[str, {inner}]" if role == "input" else f"dict[str, {inner}]"
        case Nullable(inner):
            return f"{hint(api, inner, role, prefix)} | None"


def decoder(api: Api, kind: Type) -> str:
    """The expression that reads a value from the wire; empty where the JSON is the value."""
    match kind:
        case Scalar("time"):
            return "time"
        case Ref(ref) if ref in api.unions:
            union = api.unions[ref]
            members = ", ".join(f"{value!r}: {model}" for value, model in union.members.items())
            return f"one_of({union.discriminator!r}, lambda: {{{members}}})"
        case Ref(ref) if ref in api.models:
            return f"model(lambda: {ref})"
        case ListOf(item) if inner := decoder(api, item):
            return f"items({inner})"
        case MapOf(value) if inner := decoder(api, value):
            return f"values({inner})"
        case Nullable(inner):
            return decoder(api, inner)
        case _:
            return ""


def encoder(api: Api, kind: Type) -> str:
    """The name of the table by which a value's own field names are written; empty without one."""
    match kind:
        case Ref(ref) if ref in api.models and _is_translated(api, ref):
            return ref
        case ListOf(inner) | Nullable(inner):
            return encoder(api, inner)
        case _:
            return ""


def _is_translated(api: Api, model: str) -> bool:
    return any(name(field.name) != field.name or encoder(api, field.type) for field in api.models[model].fields)


def literal(value: Any) -> str:
    """A JSON value as source, strings in double quotes."""
    match value:
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        case list():
            return "[" + ", ".join(literal(each) for each in value) + "]"
        case dict():
            return "{" + ", ".join(f"{literal(key)}: {literal(each)}" for key, each in value.items()) + "}"
        case _:
            return repr(value)
