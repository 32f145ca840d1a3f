"""The base of every shape on the wire: camelCase, no unknown fields; and the types that shapes share."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import force_setattr

from cygnid.core import clock
from cygnid.core.errors import FieldError

Timestamp = Annotated[datetime, Meta(tz=True)]
"""A time on the wire: RFC 3339 in UTC with exactly three decimals, so that times sort as strings."""
FreeMap = dict[str, Any]


class In(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A body. Repeat `frozen=True, kw_only=True` in subclasses: msgspec does not inherit them."""

    bare_array: ClassVar[bool] = False
    """Whether an array stands for the only field: somebody else decided how this body is sent."""


class Out(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """An answer. No field has a default: an absent value is null, an absent list is [].

    Its times are text as soon as it is made: the encoder would write a datetime with six decimals or none.
    """

    def __post_init__(self) -> None:
        for name in _times(type(self)):
            value: datetime | str | None = getattr(self, name)
            if isinstance(value, datetime):
                force_setattr(self, name, clock.text(value))


@cache
def _times(shape: type[Out]) -> tuple[str, ...]:
    hints = get_type_hints(shape)
    return tuple(name for name, hint in hints.items() if hint is datetime or datetime in get_args(hint))


class Pagination(Out, frozen=True, kw_only=True):
    page: int | None
    limit: int
    total: int | None
    pages: int | None
    total_is_estimate: bool
    has_more: bool
    next_cursor: str | None
    prev_cursor: str | None


Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[Item]):
    """What a list endpoint returns: `data` is the items, `meta.pagination` the rest."""

    items: list[Item]
    pagination: Pagination


class Warning(Out, frozen=True, kw_only=True):  # noqa: A001  the contract's name
    code: Literal["audit_rows_pending", "dry_run", "env_differs", "secret_not_copied"]
    message: str
    path: str | None


class MetaOut(Out, frozen=True, kw_only=True, omit_defaults=True):
    request_id: str
    timestamp: Timestamp
    pagination: Pagination | UnsetType = UNSET
    warnings: list[Warning] | UnsetType = UNSET


class ErrorBody(Out, frozen=True, kw_only=True):
    code: str
    message: str
    hint: str | None
    details: FreeMap
    doc_url: str
    errors: list[FieldError]


ENCODER = msgspec.json.Encoder()


def alike(row: msgspec.Struct, shape: type[Out]) -> dict[str, Any]:
    """The fields of `shape` that the row has by the same name."""
    return {name: getattr(row, name) for name in _alike(type(row), shape)}


@cache
def _alike(row: type[msgspec.Struct], shape: type[Out]) -> tuple[str, ...]:
    return tuple(name for name in shape.__struct_fields__ if name in row.__struct_fields__)


def plain(value: Any) -> Any:
    """As it stands on the wire, in Python's own types: for columns that keep shapes."""
    return msgspec.to_builtins(value)
