"""The IR's types and values in Ruby's and RBS's words."""

from __future__ import annotations

from typing import Any

from ...ir import Api, Const, ListOf, MapOf, Nullable, Ref, Scalar, Type
from ...names import escaped, snake

_RESERVED_WORDS = (
    "alias and begin break case class def defined do else elsif end ensure false for if in module next "
    "nil not or redo rescue retry return self super then true undef unless until when while yield"
)
KEYWORDS = frozenset(_RESERVED_WORDS.split())
# What every object, or every model, answers to: a field must not take it away.
_METHODS = (
    "class clone deconstruct_keys display dup extend freeze hash inspect itself last_response method "
    "methods object_id send singleton_class tap then to_enum to_h to_json to_s"
)
_TAKEN = frozenset(_METHODS.split())
_SCALARS = {
    "string": "String",
    "integer": "Integer",
    "number": "Numeric",
    "boolean": "bool",
    "time": "Time",
    "any": "untyped",
}


def name(wire: str) -> str:
    """A method's or an argument's name."""
    return snake(wire)


def attribute(wire: str) -> str:
    """The method of a model's field."""
    return escaped(snake(wire), _TAKEN)


def value_of(argument: str) -> str:
    """How a method reads its argument: Ruby takes a keyword as a name, but not as an expression."""
    return f"binding.local_variable_get(:{argument})" if argument in KEYWORDS else argument


def reader(api: Api, kind: Type) -> str:
    """The expression that reads a value from the wire; empty where the JSON is the value."""
    match kind:
        case Scalar("time"):
            return "time"
        case Ref(ref) if ref in api.unions:
            union = api.unions[ref]
            members = ", ".join(f"{literal(value)} => {model}" for value, model in union.members.items())
            return f"one_of({literal(union.discriminator)}, {{ {members} }})"
        case Ref(ref) if ref in api.models:
            return f"model({ref})"
        case ListOf(item) if inner := reader(api, item):
            return f"list({inner})"
        case MapOf(value) if inner := reader(api, value):
            return f"map({inner})"
        case Nullable(inner):
            return reader(api, inner)
        case _:
            return ""


def table(api: Api, kind: Type) -> str:
    """The name of the input whose fields a value has by their names in Ruby; empty without one."""
    match kind:
        case Ref(ref) if ref in api.models:
            return ref
        case ListOf(inner) | Nullable(inner):
            return table(api, inner)
        case _:
            return ""


def hint(api: Api, kind: Type, role: str) -> str:
    """The type in RBS; `role` is `output` (lenient: unknown enum values are text) or `input` (strict)."""
    match kind:
        case Scalar(scalar):
            return "Time | String" if scalar == "time" else _SCALARS[scalar]
        case Const(value):
            return literal(value) if role == "input" else "String"
        case Ref(ref) if ref in api.enums:
            return f"Models::{snake(ref)}" if role == "input" else f"Models::{snake(ref)} | String"
        case Ref(ref) if ref in api.unions:
            members = " | ".join(f"Models::{member}" for member in api.unions[ref].members.values())
            return f"{members} | Model"
        case Ref(ref):
            return f"Models::{ref}" if role == "output" else "Hash[Symbol | String, untyped]"
        case ListOf(item):
            return f"Array[{hint(api, item, role)}]"
        case MapOf(value):
            key = "String" if role == "output" else "Symbol | String"
            return f"Hash[{key}, {hint(api, value, role)}]"
        case Nullable(inner):
            inside = hint(api, inner, role)
            return inside if inside == "untyped" else f"({inside})?" if " | " in inside else f"{inside}?"


def literal(value: Any) -> str:
    """A JSON value as source."""
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case str():
            escapes = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("#", "\\#")
            return f'"{escapes}"'
        case list():
            return "[" + ", ".join(literal(each) for each in value) + "]"
        case dict():
            return "{" + ", ".join(f"{literal(key)} => {literal(each)}" for key, each in value.items()) + "}"
        case _:
            return repr(value)
