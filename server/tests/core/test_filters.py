"""Filters of lists: what is asked in the query string becomes conditions on columns."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import pytest

from cygnid.core import convert, db, filters
from cygnid.core.errors import UnknownParameter, ValidationError
from cygnid.core.filters import CreatedQuery, TimeQuery
from cygnid.core.paging import Condition, Listing, fetch

JULY = datetime(2026, 7, 1, tzinfo=UTC)


class ThingQuery(TimeQuery, frozen=True, kw_only=True):
    status: list[Literal["on", "off"]] = []
    status_ne: list[Literal["on", "off"]] = msgspec.field(default_factory=list, name="status[ne]")
    label: list[filters.Label] = []


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    created_at: datetime


def asked(**pairs: str) -> ThingQuery:
    return convert.query(
        [(name.replace("__", "[") + ("]" if "__" in name else ""), text) for name, text in pairs.items()], ThingQuery
    )


def said(conditions: list[Condition]) -> list[tuple[str, Any]]:
    return [(condition.sql, condition.values[0]) for condition in conditions]


def test_a_date_is_its_beginning_in_utc() -> None:
    query = asked(since="2026-07-01", until="2026-07-01T02:00:00+02:00")
    assert said(filters.by_time(query)) == [("created_at >= $1", JULY), ("created_at < $1", JULY)]


@pytest.mark.parametrize(("operator", "sign"), [("gte", ">="), ("gt", ">"), ("lte", "<="), ("lt", "<")])
def test_the_ranges_have_their_columns(operator: str, sign: str) -> None:
    query = asked(**{f"createdAt__{operator}": "2026-07-01", f"updatedAt__{operator}": "2026-07-01T00:00:00Z"})
    assert said(filters.by_time(query, created="t.created_at", updated="t.changed")) == [
        (f"t.created_at {sign} $1", JULY),
        (f"t.changed {sign} $1", JULY),
    ]


def test_nothing_asked_is_no_condition() -> None:
    query = asked()
    assert not [*filters.by_time(query), *filters.chosen("status", query.status, query.status_ne), *filters.labels([])]


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-07-01T00:00:00", "2026-13-01", "0001-01-01", "9999-12-31", "", "20260701"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        asked(createdAt__gte=text)
    assert refused.value.errors[0].field == "createdAt[gte]"


def test_a_range_is_there_only_where_it_is_listed() -> None:
    with pytest.raises(UnknownParameter):
        convert.query([("updatedAt[gte]", "2026-07-01")], CreatedQuery)


def test_several_values_and_their_negation() -> None:
    query = asked(status="on,off", status__ne="off")
    assert said(filters.chosen("s.status", query.status, query.status_ne)) == [
        ("s.status = ANY($1)", ["on", "off"]),
        ("s.status <> ALL($1)", ["off"]),
    ]


def test_every_label_must_hold() -> None:
    query = convert.query([("label", "team:core"), ("label", "url:http://x")], ThingQuery)
    assert said(filters.labels(query.label)) == [
        ("labels @> $1", {"team": "core"}),
        ("labels @> $1", {"url": "http://x"}),
    ]
    for wrong in ("team", ":core", ":"):
        with pytest.raises(ValidationError):
            convert.query([("label", wrong)], ThingQuery)


async def test_the_database_understands_them(database_url: str) -> None:
    listing = Listing(
        select="""SELECT id, created_at FROM (VALUES
            ('a', '2026-06-30T23:59:59Z'::timestamptz, 'on', '{"team": "core"}'::jsonb),
            ('b', '2026-07-01T00:00:00Z', 'on', '{"team": "core", "tier": "1"}'),
            ('c', '2026-07-02T00:00:00Z', 'off', '{}')) t (id, created_at, status, labels)""",
        sorts={"createdAt": "created_at"},
    )
    pool = await db.connect(database_url, size=2)
    found: list[list[str]] = []
    for query in (
        asked(since="2026-07-01"),
        asked(until="2026-07-01"),
        asked(createdAt__gt="2026-07-01", createdAt__lte="2026-07-02"),
        asked(status__ne="off"),
        asked(label="team:core,tier:1"),
    ):
        conditions = [
            *filters.by_time(query),
            *filters.chosen("status", query.status, query.status_ne),
            *filters.labels(query.label),
        ]
        async with db.read(pool) as read:
            page = await fetch(read, Thing, listing, query, conditions)
        found.append([thing.id for thing in page.items])
    await pool.close()
    assert found == [["c", "b"], ["a"], ["c"], ["b", "a"], ["b"]]
