"""The IR's names, types and values in Go's words."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from ...ir import Api, Const, Field, ListOf, MapOf, Model, Nullable, Param, Ref, Scalar, Type, Union
from ...names import camel, escaped, words

_INITIALS = frozenset(
    ["api", "cpu", "dns", "html", "http", "id", "ip", "json", "oom", "os", "sha", "sse", "tls", "ttl", "ui", "url"]
)
_KEYWORDS = frozenset(
    [
        "break",
        "case",
        "chan",
        "const",
        "continue",
        "default",
        "defer",
        "else",
        "fallthrough",
        "for",
        "func",
        "go",
        "goto",
        "if",
        "import",
        "interface",
        "map",
        "package",
        "range",
        "return",
        "select",
        "struct",
        "switch",
        "type",
        "var",
        "body",
        "options",
        "params",
        "ctx",
    ]
)
_SCALARS = {"string": "string", "integer": "int", "number": "float64", "boolean": "bool", "time": "time.Time"}
_WIDE = ("Bytes", "seq", "Seq")
"""Endings of integers that outgrow 32 bits, which are an int on some machines."""


def name(wire: str) -> str:
    """An exported name: projectId → ProjectID, allowedIps → AllowedIPs, http1 → HTTP1."""
    return "".join(_word(word) for word in words(wire))


def local(wire: str) -> str:
    """A parameter's name: projectId → projectID."""
    first, *rest = words(wire)
    return escaped(first + "".join(_word(word) for word in rest), _KEYWORDS)


def _word(word: str) -> str:
    stem, digits = re.fullmatch(r"(.*?)(\d*)", word).groups()  # pyright: ignore[reportOptionalMemberAccess]
    if word in _INITIALS or stem in _INITIALS:
        return stem.upper() + digits
    if word.endswith("s") and word[:-1] in _INITIALS:
        return word[:-1].upper() + "s"
    return word[:1].upper() + word[1:]


def hint(api: Api, kind: Type, role: str, owner: str = "") -> str:
    """The type; `owner` is the field's name."""
    match kind:
        case Scalar("integer") if owner.endswith(_WIDE):
            return "int64"
        case Scalar("any"):
            return "any"
        case Scalar(scalar):
            return _SCALARS[scalar]
        case Const():
            return "string"
        case Ref(ref) if ref in api.models and role == "input":
            return input_name(api.models[ref])
        case Ref(ref):
            return name(ref)
        case ListOf(item):
            return f"[]{hint(api, item, role)}"
        case MapOf(value):
            return f"map[string]{hint(api, value, role)}"
        case Nullable(ListOf() | MapOf() as inner):
            return hint(api, inner, role, owner)
        case Nullable(inner):
            return f"*{hint(api, inner, role, owner)}"


def input_name(model: Model) -> str:
    """What is sent and answered alike has two types: only one of them can leave fields out."""
    return name(model.name) + ("Input" if model.is_output else "")


def optional(api: Api, field: Field) -> str:
    """The type of a body's field that may be left out."""
    kind = field.type.inner if isinstance(field.type, Nullable) else field.type
    return f"Field[{hint(api, kind, 'input', field.name)}]"


def query_type(api: Api, param: Param) -> str:
    """A zero value is not sent, but false is one that somebody may mean."""
    return "Field[bool]" if param.type == Scalar("boolean") else hint(api, param.type, "input", param.name)


def path(method_path: str, params: tuple[Param, ...]) -> str:
    """The route of a method as a Go expression."""
    for param in params:
        method_path = method_path.replace(f"{{{param.wire}}}", "{}")
    return f"at({', '.join([json.dumps(method_path), *(local(param.name) for param in params)])})"


def member(union: Union, value: str) -> str:
    """The field of a union that holds the member of this discriminator."""
    return name(camel(value)) if value != union.discriminator else name(f"{value}Value")


def literal(value: Any) -> str:
    """A JSON scalar as source."""
    return json.dumps(value, ensure_ascii=False)


def value(api: Api, kind: Type, given: Any, role: str = "input") -> str:
    """A JSON value as an expression of this type."""
    match kind:
        case Nullable() if given is None:
            return "nil"
        case Nullable(ListOf() | MapOf() as inner):
            return value(api, inner, given, role)
        case Nullable(inner):
            return f"cygni.Ptr({value(api, inner, given, role)})"
        case Ref(ref) if ref in api.models:
            return f"cygni.{input_name(api.models[ref])}{{{fields(api, api.models[ref], given)}}}"
        case Ref(ref) if ref in api.enums:
            return f"cygni.{name(ref)}{name(given)}"
        case ListOf(item):
            return f"{_outside(api, kind)}{{{', '.join(value(api, item, each) for each in given)}}}"
        case MapOf(inner):
            pairs = (f"{literal(key)}: {value(api, inner, each)}" for key, each in given.items())
            return f"{_outside(api, kind)}{{{', '.join(pairs)}}}"
        case Scalar("time"):
            at = datetime.fromisoformat(given).astimezone(UTC)
            return f"time.Date({at.year}, {at.month}, {at.day}, {at.hour}, {at.minute}, {at.second}, 0, time.UTC)"
        case Scalar("number"):
            return repr(float(given))
        case _:
            return literal(given)


def fields(api: Api, model: Model, given: dict[str, Any]) -> str:
    """The fields of a composite literal, in the model's order."""
    parts: list[str] = []
    for field in model.fields:
        if field.name not in given:
            continue
        one = given[field.name]
        kind = field.type.inner if isinstance(field.type, Nullable) else field.type
        if field.required:
            text = value(api, field.type, one)
        elif one is None:
            text = f"cygni.Null[{_outside(api, kind)}]()"
        else:
            text = f"cygni.Set({value(api, kind, one)})"
        parts.append(f"{name(field.name)}: {text}")
    return ", ".join(parts)


def _outside(api: Api, kind: Type) -> str:
    """A type as another package writes it."""
    text = hint(api, kind, "input")
    return re.sub(r"(?<![\w.])([A-Z]\w*)", r"cygni.\1", text)
