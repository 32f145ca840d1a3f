"""From JSON and query strings to Structs, with every problem of the input named at once."""

import re
import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo, fields

from cygnid.core.errors import FieldError, UnknownParameter, ValidationError

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PATH = re.compile(r" - at `\$(.*)`$")
_CODES = (
    ("missing required field", "required"),
    ("unknown field", "unknown_field"),
    ("length <=", "too_long"),
    ("length >=", "too_short"),
    ("`int` <", "out_of_range"),
    ("`int` >", "out_of_range"),
    ("`float` <", "out_of_range"),
    ("`float` >", "out_of_range"),
    ("Invalid enum value", "not_allowed"),
)


def body(raw: bytes, into: type[msgspec.Struct]) -> Any:
    """The Struct of a JSON body; an array stands for the only field of one with `bare_array`.
    Raises ValidationError naming every field that breaks a rule."""
    try:
        value = msgspec.json.decode(raw or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ValidationError(f"The body is not JSON: {problem}") from problem
    except RecursionError as problem:
        raise ValidationError("The body is nested too deeply.") from problem
    if isinstance(value, list) and getattr(into, "bare_array", False):
        value = {into.__struct_encode_fields__[0]: value}
    if b"\\u0000" in raw and _has_nul(value):
        raise ValidationError("The body has a text with the character U+0000, which cannot be stored.")
    return _struct(value, into, strict=True)


def query(pairs: Sequence[tuple[str, str]], into: type[msgspec.Struct]) -> Any:
    """The Struct of a query string; a list field takes its name repeated, or values joined by commas; a time takes
    a date, its beginning in UTC.
    Raises UnknownParameter, ValidationError."""
    known = _parameters(into)
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name not in known:
            raise UnknownParameter(
                f"There is no parameter {name} here.", details={"parameter": name, "allowed": sorted(known)}
            )
        if "\0" in text:
            raise ValidationError.one(name, "Must not have the character U+0000")
        if known[name].is_list:
            parts = [part for part in text.split(",") if part]
            if not parts:
                raise ValidationError.one(name, "Must name something; without it the list shows all")
            values.setdefault(name, []).extend(parts)
        elif name in values:
            raise ValidationError.one(name, "Must be given once")
        elif known[name].is_time:
            values[name] = _moment(name, text)
        elif text == "null" and not known[name].is_text:
            # the lax conversion would take it for absent
            raise ValidationError.one(name, "Must not be null: leave the parameter out")
        else:
            values[name] = text
    return _struct(values, into, strict=False)


class _Parameter(msgspec.Struct, frozen=True):
    is_list: bool
    is_time: bool
    is_text: bool


@cache
def _parameters(into: type[msgspec.Struct]) -> Mapping[str, _Parameter]:
    """By wire name. Kept: looking at a type's hints costs more than all the rest of a query."""
    return {
        field.encode_name: _Parameter(_is(list, field.type), is_time(field.type), _is(str, field.type))
        for field in fields(into)
    }


def _moment(name: str, text: str) -> str:
    """Raises ValidationError for what is no time of RFC 3339, or in a year that is too far for some time zone."""
    if not _DATE.match(text):
        # else a number would be seconds since 1970
        raise ValidationError.one(name, "Must be a date or date-time as 2024-01-31 or 2024-01-31T12:00:00Z")
    if not 1970 <= int(text[:4]) < 9999:
        raise ValidationError.one(name, "Must be in the years 1970 to 9998", code="out_of_range")
    return f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)  # type: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return any(_has_nul(part) for part in value)  # type: ignore[reportUnknownVariableType]
    return isinstance(value, str) and "\0" in value


def _struct(value: Any, into: type[msgspec.Struct], *, strict: bool) -> Any:
    try:
        return msgspec.convert(value, into, strict=strict)
    except msgspec.ValidationError as problem:
        found = list(_problems(value, into, "", strict=strict))
        raise ValidationError.of(found or [_error(str(problem), "")]) from problem


def _problems(value: Any, into: type[msgspec.Struct], path: str, *, strict: bool) -> list[FieldError]:
    if not isinstance(value, dict):
        return [FieldError(field=path or "body", code="invalid", reason="Must be an object")]
    known: dict[str, FieldInfo] = {field.encode_name: field for field in fields(into)}
    found: list[FieldError] = [
        FieldError(field=f"{path}{name}", code="unknown_field", reason="There is no such field here")
        for name in value  # type: ignore[reportUnknownVariableType]
        if name not in known
    ]
    for name, field in known.items():
        if name not in value:
            if field.required:
                found.append(FieldError(field=f"{path}{name}", code="required", reason="Is required"))
            continue
        found.extend(_of_field(value[name], field.type, f"{path}{name}", strict=strict))
    return found


def _of_field(value: Any, kind: Any, path: str, *, strict: bool) -> list[FieldError]:
    struct, many = _inner(kind)
    if struct is not None and many and isinstance(value, list):
        found: list[FieldError] = []
        for index, item in enumerate(value):  # type: ignore[reportUnknownVariableType]
            found.extend(_problems(item, struct, f"{path}[{index}].", strict=strict))
        if found:
            return found
    elif struct is not None and isinstance(value, dict):
        return _problems(value, struct, f"{path}.", strict=strict)
    try:
        msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as problem:
        return [_error(str(problem), path)]
    return []


def _error(text: str, path: str) -> FieldError:
    inner = _PATH.search(text)
    reason = _PATH.sub("", text)
    code = next((code for mark, code in _CODES if mark in reason), "invalid")
    return FieldError(field=f"{path}{inner.group(1) if inner else ''}" or "body", code=code, reason=reason)


def _inner(kind: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """The Struct inside `S`, `S | None`, `list[S]`; and whether it is a list."""
    if get_origin(kind) is Annotated:
        return _inner(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return next((found for part in get_args(kind) if (found := _inner(part))[0] is not None), (None, False))
    if get_origin(kind) is list:
        return _inner(get_args(kind)[0])[0], True
    return (kind, False) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else (None, False)


def _is(what: type, kind: Any) -> bool:
    if get_origin(kind) is Annotated:
        return _is(what, get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return any(_is(what, part) for part in get_args(kind))
    return (get_origin(kind) or kind) is what


def is_time(kind: Any) -> bool:
    """Whether a field of this type holds a time."""
    return _is(datetime, kind)


def allowed(into: type[msgspec.Struct] | None) -> Mapping[str, FieldInfo]:
    """Wire name → field of a query Struct."""
    return {} if into is None else {field.encode_name: field for field in fields(into)}
