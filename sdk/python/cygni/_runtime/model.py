"""What the API answers with: read when it is looked at, and never narrower than the answer.

A self-hosted server may be newer or older than this package. Fields that are not known here are kept, values that are
not known are plain text, a field that an older server does not have is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from .response import Response

Decoder = Callable[[Any], Any]


class Model:
    """A JSON object with attributes. `model["wireName"]` and `to_dict()` have all of it, what is not known here too."""

    _fields: ClassVar[dict[str, tuple[str, Decoder | None]]] = {}

    def __init__(self, raw: Mapping[str, Any], last_response: Response | None = None) -> None:
        self._raw = raw
        self._last_response = last_response

    @property
    def last_response(self) -> Response:
        """The answer that brought it: headers, request id, rate limit. Only what a call returned has it."""
        if self._last_response is None:
            raise LookupError(f"This {type(self).__name__} is a part of an answer: its whole has last_response.")
        return self._last_response

    def to_dict(self) -> dict[str, Any]:
        """The JSON, with the names of the wire."""
        return dict(self._raw)

    def __getitem__(self, wire_name: str) -> Any:
        return self._raw[wire_name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and type(other) is type(self) and other._raw == self._raw

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        known = {wire: name for name, (wire, _) in self._fields.items()}
        return f"{type(self).__name__}({', '.join(f'{known.get(key, key)}={self._raw[key]!r}' for key in self._raw)})"

    if not TYPE_CHECKING:  # a type checker would take any name for one that exists

        def __getattr__(self, name: str) -> Any:
            try:
                wire, decode = self._fields[name]
            except KeyError:
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}") from None
            value = self._raw.get(wire)
            if value is not None and decode is not None:
                value = decode(value)
            self.__dict__[name] = value
            return value


class UnknownEvent(Model):
    """A webhook of a type that this version does not know."""

    type: str
    timestamp: datetime
    data: dict[str, Any]


def model(kind: Callable[[], type[Model]]) -> Decoder:
    return lambda value: kind()(value) if isinstance(value, Mapping) else value


def items(decode: Decoder) -> Decoder:
    return lambda value: [decode(each) for each in value] if isinstance(value, list) else value


def values(decode: Decoder) -> Decoder:
    def decode_all(value: Any) -> Any:
        return {key: decode(each) for key, each in value.items()} if isinstance(value, Mapping) else value

    return decode_all


def one_of(discriminator: str, members: Callable[[], Mapping[str, type[Model]]]) -> Decoder:
    """A member of a union; one that is not known is a Model without attributes."""

    def decode(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return members().get(str(value.get(discriminator)), Model)(value)

    return decode


def time(value: Any) -> Any:
    """A datetime; what does not look like one stays text."""
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return value


UnknownEvent._fields = {  # pyright: ignore[reportPrivateUsage] - time is defined after the class
    "type": ("type", None),
    "timestamp": ("timestamp", time),
    "data": ("data", None),
}
