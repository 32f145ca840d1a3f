"""Named schemas of the document as models, enums and unions. Raises ProfileError for what the profile leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import names
from .ir import Const, Enum, Field, ListOf, MapOf, Model, Nullable, Ref, Scalar, Type, Union

Json = Mapping[str, Any]

_SCALARS = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}


class ProfileError(Exception):
    """The document says something that the generator does not know; the message names the place."""


class Schemas:
    """Reads schemas as they are met, starting from what methods name: what nothing names is not emitted."""

    def __init__(self, named: Mapping[str, Json]) -> None:
        self._named = named
        self.models: dict[str, Model] = {}
        self.enums: dict[str, Enum] = {}
        self.unions: dict[str, Union] = {}
        self._roles: dict[str, set[str]] = {}

    def model(self, name: str, role: str) -> str:
        """Read the schema of this name, and all it refers to, as `input` or `output`. Returns the name."""
        if name not in self._named:
            raise ProfileError(f"{name}: no schema has this name")
        roles = self._roles.setdefault(name, set())
        if role in roles:
            return name
        roles.add(role)
        schema = self._named[name]
        if schema.get("type") != "object" or "properties" not in schema:
            raise ProfileError(f"{name}: a named schema must be an object with properties")
        fields = tuple(self._field(name, key, part, schema, role) for key, part in schema["properties"].items())
        self.models[name] = Model(
            name=name,
            doc=schema.get("description", ""),
            fields=fields,
            is_input="input" in roles,
            is_output="output" in roles,
        )
        return name

    def envelope_data(self, name: str, where: str) -> Json:
        """The schema of `data` in the envelope of this name."""
        properties = self._named.get(name, {}).get("properties", {})
        if not {"data", "meta"} <= set(properties):
            raise ProfileError(f"{where}: {name} is no envelope of data and meta")
        return properties["data"]

    def type(self, schema: Json, owner: str, key: str, role: str) -> Type:
        """A schema as a type; its enum or union, if it is one, gets the name <owner><Key>."""
        where = f"{owner}.{key}"
        if "allOf" in schema or "oneOf" in schema:
            raise ProfileError(f"{where}: allOf and oneOf are not in the profile")
        if "$ref" in schema:
            return Ref(self.model(ref_name(schema), role))
        if "anyOf" in schema:
            return self._any_of(schema, owner, key, role)
        kind = schema.get("type")
        if isinstance(kind, list):
            others = [each for each in kind if each != "null"]
            if len(others) != 1 or "null" not in kind:
                raise ProfileError(f"{where}: a type is one, or one and null")
            plain = {**schema, "type": others[0]}
            if "enum" in plain:
                plain["enum"] = [value for value in plain["enum"] if value is not None]
            return Nullable(self.type(plain, owner, key, role))
        return self._plain(schema, str(kind), owner, key, role)

    def _plain(self, schema: Json, kind: str, owner: str, key: str, role: str) -> Type:
        where = f"{owner}.{key}"
        if "enum" in schema:
            return self._enum(schema, owner, key, role)
        if kind == "array":
            return ListOf(self.type(schema["items"], owner, key, role))
        if kind == "object":
            if "properties" in schema:
                raise ProfileError(f"{where}: an object must be a named schema")
            value = schema.get("additionalProperties", True)
            return MapOf(self.type(value, owner, key, role) if isinstance(value, Mapping) and value else Scalar("any"))
        if kind == "string" and schema.get("format") == "date-time":
            return Scalar("time")
        if kind not in _SCALARS:
            raise ProfileError(f"{where}: {kind} is not in the profile")
        return Scalar(_SCALARS[kind])  # pyright: ignore[reportArgumentType] - one of the four

    def _field(self, model: str, key: str, part: Json, schema: Json, role: str) -> Field:
        return Field(
            name=key,
            type=self.type(part, model, key, role),
            required=key in schema.get("required", []),
            doc=part.get("description", ""),
            default=part.get("default"),
            has_default="default" in part,
        )

    def _enum(self, schema: Json, owner: str, key: str, role: str) -> Type:
        values = schema["enum"]
        if schema.get("type") != "string" or not all(isinstance(value, str) for value in values):
            raise ProfileError(f"{owner}.{key}: an enum is of strings")
        if key == "type" and len(values) == 1 and owner in self._named:
            return Const(values[0])
        name = self._free(owner + names.pascal(key), "Value")
        known = self.enums.get(name)
        self.enums[name] = Enum(
            name=name,
            values=tuple(values),
            is_input=role == "input" or (known is not None and known.is_input),
            is_output=role == "output" or (known is not None and known.is_output),
        )
        return Ref(name)

    def _any_of(self, schema: Json, owner: str, key: str, role: str) -> Type:
        others = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
        is_nullable = len(others) < len(schema["anyOf"])
        if len(others) == 1:
            inner = self.type({**others[0]}, owner, key, role)
        elif "discriminator" in schema:
            name = self._free(owner + names.pascal(key), "Union")
            found = schema["discriminator"]
            members = {value: self.model(ref.rpartition("/")[2], role) for value, ref in found["mapping"].items()}
            self.unions[name] = Union(name=name, discriminator=found["propertyName"], members=members)
            inner = Ref(name)
        else:
            raise ProfileError(f"{owner}.{key}: a union needs a discriminator")
        return Nullable(inner) if is_nullable else inner

    def _free(self, name: str, suffix: str) -> str:
        """The name, unless a schema has it."""
        return name + suffix if name in self._named else name


def ref_name(schema: Json) -> str:
    return str(schema["$ref"]).rpartition("/")[2]
