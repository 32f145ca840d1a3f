"""Every list: by page number with a total, or by cursor, which skips and repeats no row while others come and go.

A cursor is the sort and the sort values of a row; the next page begins after that row (keyset paging). SQL text is
`LiteralString`, so the type checker refuses any that is made of a request; values are always parameters.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, LiteralString, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from msgspec import Meta
from msgspec.structs import fields

from cygnid.core.db import Read
from cygnid.core.errors import ValidationError
from cygnid.core.schemas import Page, Pagination

COUNTED = 10_000
"""A total is exact up to here, and page numbers lead no further."""

Row = TypeVar("Row", bound=msgspec.Struct)
Item = TypeVar("Item")
_CASTS: dict[type, LiteralString] = {datetime: "timestamptz", str: "text", int: "bigint"}


class PageQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The parameters of every list. A noun's query Struct inherits from it and adds its filters."""

    page: Annotated[int, Meta(ge=1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(min_length=1)] | None = None
    sort: str | None = None


class LogQuery(PageQuery, frozen=True, kw_only=True):
    """The same for lists of log lines."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


@dataclass(frozen=True)
class Condition:
    """A part of WHERE, with parameters numbered from $1 of its own. Made by `where`."""

    sql: LiteralString
    values: tuple[Any, ...]


def where(sql: LiteralString, *values: Any) -> Condition:
    """`where("p.status = ANY($1)", ["active"])`."""
    return Condition(sql, values)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """How a noun is listed."""

    select: LiteralString
    """`SELECT … FROM …` up to, without, WHERE. Its columns have those of `sorts`, and `id`."""
    sorts: Mapping[str, LiteralString]
    """What `sort` may name → the column of `select`: a time, text or integer that is never null."""
    default: LiteralString = "-createdAt"
    counted: bool = True
    """False for log lines: nothing is counted, the total is known only where the list ends on this page."""


class _Key(msgspec.Struct, frozen=True):
    column: LiteralString
    descending: bool


class _Cursor(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    sort: str
    direction: Literal["after", "before"]
    values: list[str | int]


async def fetch(
    read: Read, row: type[Row], listing: Listing, query: PageQuery, conditions: Sequence[Condition] = ()
) -> Page[Row]:
    """One page of rows; `row` has the columns of `listing.select` as fields.

    Raises ValidationError for a sort that is not listed, a cursor that is not ours or of another sort, `cursor` with
    `page`, and page numbers beyond 10,000 rows.
    """
    cursor = None if query.cursor is None else _decode(query.cursor)
    sort = query.sort if query.sort is not None else cursor.sort if cursor else listing.default
    if cursor and query.page is not None:
        raise ValidationError.one("cursor", "Cannot be given together with page")
    if cursor and cursor.sort != sort:
        raise ValidationError.one("cursor", "Belongs to another sort: begin again without a cursor")
    keys = _keys(sort, listing, is_from_cursor=query.sort is None and cursor is not None)
    page = query.page or 1
    if cursor is None and page * query.limit > COUNTED:
        raise ValidationError.one("page", f"Page numbers end at {COUNTED} rows: go on with cursor", code="out_of_range")

    sql, values = filtered(listing, conditions)
    filters = tuple(values)
    backwards = cursor is not None and cursor.direction == "before"
    order = ", ".join(f"{key.column} {'DESC' if key.descending != backwards else 'ASC'}" for key in keys)
    after = ""
    if cursor:
        bounds = _bounds(cursor, keys, row)
        after = f"WHERE {_beyond(keys, bounds, len(values), backwards=backwards)}"
        values = [*values, *bounds]
    offset = 0 if cursor else (page - 1) * query.limit
    rows = await read.all(
        row,
        f"SELECT * FROM ({sql}) l {after} ORDER BY {order} LIMIT {query.limit + 1} OFFSET {offset}",  # noqa: S608
        *values,
    )
    is_more = len(rows) > query.limit
    del rows[query.limit :]
    if backwards:
        rows.reverse()
    # a cursor's own row lies on the side that the page was reached from
    has_more = bool(rows) if backwards else is_more
    has_before = is_more if backwards else bool(rows) and (cursor is not None or page > 1)
    total = None
    if cursor is None and not is_more and (rows or page == 1):
        total = offset + len(rows)
    elif cursor is None:
        total = await _count(read, sql, filters) if listing.counted else COUNTED + 1
    known = None if total is None else min(total, COUNTED)
    return Page(
        items=rows,
        pagination=Pagination(
            page=None if cursor else page,
            limit=query.limit,
            total=known,
            pages=None if known is None else -(-known // query.limit),
            total_is_estimate=total is not None and total > COUNTED,
            has_more=has_more,
            next_cursor=_encode(sort, "after", rows[-1], keys) if has_more else None,
            prev_cursor=_encode(sort, "before", rows[0], keys) if has_before else None,
        ),
    )


def whole(items: Sequence[Item], query: PageQuery) -> Page[Item]:
    """One page of a short list that is here already, in its own order; its cursors count. Raises ValidationError for a
    sort, a cursor that is not ours, and `cursor` with `page`."""
    if query.sort is not None:
        raise ValidationError.one("sort", "This list has one order", code="not_allowed", allowed=[])
    cursor = None if query.cursor is None else _decode(query.cursor)
    if cursor and query.page is not None:
        raise ValidationError.one("cursor", "Cannot be given together with page")
    page = query.page or 1
    start = (page - 1) * query.limit if cursor is None else _counted(cursor)
    end = start + query.limit
    return Page(
        items=list(items[start:end]),
        pagination=Pagination(
            page=None if cursor else page,
            limit=query.limit,
            total=None if cursor else len(items),
            pages=None if cursor else -(-len(items) // query.limit),
            total_is_estimate=False,
            has_more=end < len(items),
            next_cursor=_at(end) if end < len(items) else None,
            prev_cursor=_at(max(0, start - query.limit)) if 0 < start < len(items) + query.limit else None,
        ),
    )


def _at(start: int) -> str:
    return _packed(_Cursor("", "after", [start]))


def _counted(cursor: _Cursor) -> int:
    match cursor:
        case _Cursor(sort="", values=[int(start)]) if start >= 0:
            return start
        case _:
            raise _not_ours()


async def _count(read: Read, sql: str, filters: Sequence[Any]) -> int:
    """COUNTED + 1 stands for any number above COUNTED: nobody waits for millions to be counted."""
    return await read.value(f"SELECT count(*) FROM (SELECT FROM ({sql}) l LIMIT {COUNTED + 1}) c", *filters)  # noqa: S608


def link_header(url: str, pagination: Pagination) -> str:
    """The value of `Link` (RFC 8288) for the list that `url` asked for: first, prev, next, last as they exist."""
    base, same = _without_page(url)
    begun = f"<{base}?{same}&" if same else f"<{base}?"

    def link(rel: str, parameter: str, value: int | str) -> str:
        # a number, or a cursor: neither has anything to encode
        return f'{begun}{parameter}={value}>; rel="{rel}"'

    page, links = pagination.page, [f'{begun[:-1]}>; rel="first"']
    if page is not None and page > 1:
        links.append(link("prev", "page", page - 1))
    elif page is None and pagination.prev_cursor:
        links.append(link("prev", "cursor", pagination.prev_cursor))
    if page is not None and pagination.has_more and (page + 1) * pagination.limit <= COUNTED:
        links.append(link("next", "page", page + 1))
    elif pagination.next_cursor:
        links.append(link("next", "cursor", pagination.next_cursor))
    if pagination.pages and not pagination.total_is_estimate:
        links.append(link("last", "page", pagination.pages))
    return ", ".join(links)


@lru_cache(maxsize=256)
def _without_page(url: str) -> tuple[str, str]:
    """(the URL up to its query, what of the query is the same on every page). Remembered: who lists, lists again."""
    whole, _, asked = url.partition("?")
    kept = [pair for pair in parse_qsl(asked, keep_blank_values=True) if pair[0] not in ("page", "cursor")]
    return quote(whole, safe="/%:@!$&'()*+,;=~[]"), urlencode(kept)


def _keys(sort: str, listing: Listing, *, is_from_cursor: bool) -> list[_Key]:
    """The columns of a sort, `id` last: in the direction of the one before, so that one index serves both."""
    keys: list[_Key] = []
    for word in sort.split(","):
        column = listing.sorts.get(word.removeprefix("-"))
        if column is None or any(key.column == column for key in keys):
            if is_from_cursor:
                raise _not_ours()
            reason = "Is no field to sort by" if column is None else "Is named twice"
            raise ValidationError.one(
                "sort", f"{word.removeprefix('-')}: {reason}", code="not_allowed", allowed=sorted(listing.sorts)
            )
        keys.append(_Key(column, word.startswith("-")))
    return keys if any(key.column == "id" for key in keys) else [*keys, _Key("id", keys[-1].descending)]


def filtered(listing: Listing, conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
    """The whole list as SQL and its parameters."""
    values: list[Any] = []
    texts: list[str] = []
    for condition in conditions:
        start = len(values)
        texts.append(re.sub(r"\$(\d+)", lambda found, start=start: f"${int(found[1]) + start}", condition.sql))
        values.extend(condition.values)
    return listing.select + (" WHERE " + " AND ".join(f"({text})" for text in texts) if texts else ""), values


def _beyond(keys: Sequence[_Key], bounds: Sequence[Any], taken: int, *, backwards: bool) -> str:
    """The rows after the cursor's, or before it. One direction is one row comparison, which an index answers."""
    names = [f"${taken + index}::{_CASTS[type(bound)]}" for index, bound in enumerate(bounds, 1)]
    signs = ["<" if key.descending != backwards else ">" for key in keys]
    if len(set(signs)) == 1:
        return f"({', '.join(key.column for key in keys)}) {signs[0]} ({', '.join(names)})"
    steps = [
        " AND ".join(
            [*(f"{keys[before].column} = {names[before]}" for before in range(index)), f"{key.column} {sign} {name}"]
        )
        for index, (key, sign, name) in enumerate(zip(keys, signs, names, strict=True))
    ]
    return " OR ".join(f"({step})" for step in steps)


def _encode(sort: str, direction: Literal["after", "before"], row: msgspec.Struct, keys: Sequence[_Key]) -> str:
    values = [msgspec.to_builtins(getattr(row, key.column)) for key in keys]
    if None in values:
        raise TypeError(f"The sort {sort!r} has a column that may be null.")
    return _packed(_Cursor(sort, direction, values))


def _packed(cursor: _Cursor) -> str:
    return urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def _decode(text: str) -> _Cursor:
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(raw, type=_Cursor)
    except (ValueError, msgspec.MsgspecError) as problem:
        raise _not_ours() from problem


def _bounds(cursor: _Cursor, keys: Sequence[_Key], row: type[msgspec.Struct]) -> list[Any]:
    """A cursor's values as parameters. Only what the database can hold: it may be anything that somebody typed."""
    kinds = {field.name: field.type for field in fields(row)}
    try:
        pairs = zip(cursor.values, keys, strict=True)
        bounds = [msgspec.convert(value, kinds[key.column]) for value, key in pairs]
    except (ValueError, msgspec.ValidationError) as problem:
        raise _not_ours() from problem
    for bound in bounds:
        if isinstance(bound, datetime) and (bound.tzinfo is None or not 1970 <= bound.year < 9999):
            raise _not_ours()
        if (isinstance(bound, str) and "\0" in bound) or (isinstance(bound, int) and not -(2**63) <= bound < 2**63):
            raise _not_ours()
    return bounds


def _not_ours() -> ValidationError:
    return ValidationError.one("cursor", "Is not a cursor of this list: take nextCursor or prevCursor as they came")
