"""Every problem of a body is named at once; a query takes only what the route lists."""

from typing import Annotated

import pytest
from msgspec import Meta

from cygnid.core import convert
from cygnid.core.errors import UnknownParameter, ValidationError
from cygnid.core.schemas import In


class Part(In, frozen=True, kw_only=True):
    memory_mb: Annotated[int, Meta(ge=32, le=4096)]


class Body(In, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=5)]
    parts: list[Part] = []
    size: int | None = None


class Query(In, frozen=True, kw_only=True):
    status: list[str] = []
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    most: int | None = None


def test_a_good_body_becomes_a_struct():
    assert convert.body(b'{"name":"a","parts":[{"memoryMb":64}],"size":null}', Body) == Body(
        name="a", parts=[Part(memory_mb=64)], size=None
    )


@pytest.mark.parametrize(
    "raw", [b'{"name":"\xff"}', b'{"\xff":1}', b"\xff", b'{"name":"\\ud800"}', b"[" * 100_000, b"{"]
)
def test_what_is_no_json_is_said_to_be_none(raw: bytes):
    with pytest.raises(ValidationError):
        convert.body(raw, Body)


def test_all_problems_are_named_at_once():
    with pytest.raises(ValidationError) as caught:
        convert.body(b'{"name":"too long","parts":[{"memoryMb":1},{}],"size":"x","nmae":1}', Body)
    assert {(error.field, error.code) for error in caught.value.errors} == {
        ("nmae", "unknown_field"),
        ("name", "too_long"),
        ("parts[0].memoryMb", "out_of_range"),
        ("parts[1].memoryMb", "required"),
        ("size", "invalid"),
    }
    assert caught.value.details["field"] == caught.value.errors[0].field


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(raw: bytes):
    with pytest.raises(ValidationError):
        convert.body(raw, Body)


def test_a_query_is_converted_by_type():
    assert convert.query([("status", "a,b"), ("status", "c"), ("limit", "5")], Query) == Query(
        status=["a", "b", "c"], limit=5
    )


def test_null_is_no_value_of_a_parameter():
    with pytest.raises(ValidationError, match="leave the parameter out"):
        convert.query([("most", "null")], Query)


def test_an_unknown_parameter_names_the_known_ones():
    with pytest.raises(UnknownParameter) as caught:
        convert.query([("statsu", "a")], Query)
    assert caught.value.details == {"parameter": "statsu", "allowed": ["limit", "most", "status"]}


@pytest.mark.parametrize("limit", ["0", "101", "x", "1" * 40])
def test_a_limit_is_refused_not_clamped(limit: str):
    with pytest.raises(ValidationError) as caught:
        convert.query([("limit", limit)], Query)
    assert caught.value.details["field"] == "limit"


def test_a_single_parameter_given_twice_is_refused():
    with pytest.raises(ValidationError):
        convert.query([("limit", "1"), ("limit", "2")], Query)


@pytest.mark.parametrize("text", ["", ","])
def test_a_filter_that_names_nothing_is_refused(text: str):
    with pytest.raises(ValidationError) as caught:
        convert.query([("status", text)], Query)
    assert caught.value.details["field"] == "status"
