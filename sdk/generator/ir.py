"""What every language is made from: the API without its HTTP details and without OpenAPI's ways of saying things.

Names are those of the wire (camelCase); a language writes them its own way, with `names`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Scalar:
    """`time` is an RFC 3339 date-time, a string on the wire. `any` is free JSON."""

    name: Literal["string", "integer", "number", "boolean", "time", "any"]


@dataclass(frozen=True)
class Const:
    """Always this text: what a union's members are told apart by."""

    value: str


@dataclass(frozen=True)
class Ref:
    """A model, an enum or a union of this name."""

    name: str


@dataclass(frozen=True)
class ListOf:
    item: Type


@dataclass(frozen=True)
class MapOf:
    """Keys are the user's own and never translated. `value` is `any` for a free object."""

    value: Type


@dataclass(frozen=True)
class Nullable:
    inner: Type


Type = Scalar | Const | Ref | ListOf | MapOf | Nullable


@dataclass(frozen=True)
class Field:
    """One property. `required` of an output: always there; of an input: must be given. `default` is the server's."""

    name: str
    type: Type
    required: bool
    doc: str = ""
    default: Any = None
    has_default: bool = False


@dataclass(frozen=True)
class Model:
    """A named object. An input refuses unknown fields at the server; an output may grow, and keeps what is new."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    is_input: bool
    is_output: bool


@dataclass(frozen=True)
class Enum:
    """Known values of a text; a newer server may answer with others. Named <Model><Field> or <Noun><Verb><Param>."""

    name: str
    values: tuple[str, ...]
    is_input: bool
    is_output: bool


@dataclass(frozen=True)
class Union:
    """One of several models, told apart by the text in the field `discriminator`. Unknown ones stay plain JSON."""

    name: str
    discriminator: str
    members: Mapping[str, str]
    """The discriminator's value → the name of a model."""


@dataclass(frozen=True)
class Param:
    """`wire` is how path or query say it (`createdAt[gte]`), `name` what a method calls it (`createdAtGte`)."""

    name: str
    wire: str
    type: Type
    required: bool
    doc: str = ""


AnswerKind = Literal["model", "page", "none", "sse", "bytes", "document"]


@dataclass(frozen=True)
class Answer:
    """What a call gives: a model (`data` of the envelope), a page of them, nothing, a stream of server-sent events
    whose data are of the model, a stream of bytes, or a free JSON document without an envelope.
    """

    kind: AnswerKind
    status: int
    model: str = ""


@dataclass(frozen=True)
class Error:
    """One status an operation may answer with, and the codes it comes with."""

    status: int
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Method:
    """One operation. `body` names the model whose fields are the method's own; `media` is not empty for raw bytes."""

    id: str
    noun: str
    verb: str
    http_method: str
    path: str
    summary: str
    path_params: tuple[Param, ...]
    query: tuple[Param, ...]
    body: str | None
    media: tuple[str, ...]
    answer: Answer
    errors: tuple[Error, ...]
    scope: str | None
    is_public: bool
    headers: tuple[str, ...]
    """What else may be sent: If-Match, If-None-Match, Idempotency-Key, Last-Event-ID, Content-Range."""
    example: Mapping[str, Any] | None = None

    @property
    def takes_if_match(self) -> bool:
        return "If-Match" in self.headers

    @property
    def takes_idempotency_key(self) -> bool:
        return "Idempotency-Key" in self.headers


@dataclass(frozen=True)
class Service:
    """One noun: `client.<name>`. `helpers` are methods that each language has by hand (behavior.json)."""

    name: str
    methods: tuple[Method, ...]
    helpers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """A webhook's type and the model of its whole body {type, timestamp, data}."""

    type: str
    model: str
    doc: str = ""


@dataclass(frozen=True)
class Api:
    """Everything, in a fixed order. `envelope` are the models that a runtime reads itself: meta, pagination, errors."""

    title: str
    version: str
    services: tuple[Service, ...]
    models: Mapping[str, Model]
    enums: Mapping[str, Enum]
    unions: Mapping[str, Union]
    envelope: tuple[Model, ...]
    events: tuple[Event, ...]
    behavior: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """behavior.json, as it is."""

    @property
    def methods(self) -> list[Method]:
        return [method for service in self.services for method in service.methods]

    def body_fields(self, method: Method) -> tuple[Field, ...]:
        """What a method's body is made of; empty without one."""
        return self.models[method.body].fields if method.body else ()
