"""Filters that lists share: query Structs to inherit from in place of `PageQuery`, and the conditions they stand for.

A Struct cannot have the fields of two others, so they are a chain: `CreatedQuery`, then `TimeQuery`. A time may be a
date, which is its beginning in UTC; `core.convert` sees to it. Several values by commas, or a repeated name, mean any
of them (`status=building,queued`), but every label must hold.
"""

from collections.abc import Sequence
from typing import Annotated, Any, LiteralString

from msgspec import Meta, field

from cygnid.core.paging import Condition, PageQuery, where
from cygnid.core.schemas import Timestamp

Label = Annotated[str, Meta(pattern="^[^,:]+:[^,]*$")]
"""`key:value`."""
Search = Annotated[str, Meta(min_length=1, max_length=1000)]
_SIGNS: dict[str, LiteralString] = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}


class CreatedQuery(PageQuery, frozen=True, kw_only=True):
    """When something was made. `since` is the first moment that belongs, `until` the first that does not."""

    since: Timestamp | None = None
    until: Timestamp | None = None
    created_at_gte: Timestamp | None = field(name="createdAt[gte]", default=None)
    created_at_gt: Timestamp | None = field(name="createdAt[gt]", default=None)
    created_at_lte: Timestamp | None = field(name="createdAt[lte]", default=None)
    created_at_lt: Timestamp | None = field(name="createdAt[lt]", default=None)


class TimeQuery(CreatedQuery, frozen=True, kw_only=True):
    """And when it was changed last."""

    updated_at_gte: Timestamp | None = field(name="updatedAt[gte]", default=None)
    updated_at_gt: Timestamp | None = field(name="updatedAt[gt]", default=None)
    updated_at_lte: Timestamp | None = field(name="updatedAt[lte]", default=None)
    updated_at_lt: Timestamp | None = field(name="updatedAt[lt]", default=None)


def by_time(
    query: CreatedQuery, *, created: LiteralString = "created_at", updated: LiteralString = "updated_at"
) -> list[Condition]:
    """Those of the times that were asked for; `created`, `updated`: the columns."""
    found: list[Condition] = []
    if query.since is not None:
        found.append(where(f"{created} >= $1", query.since))
    if query.until is not None:
        found.append(where(f"{created} < $1", query.until))
    columns: dict[str, LiteralString] = {"created_at": created, "updated_at": updated}
    for operator, sign in _SIGNS.items():
        for name, column in columns.items():
            value: Any = getattr(query, f"{name}_{operator}", None)
            if value is not None:
                found.append(where(f"{column} {sign} $1", value))
    return found


def searched(text: str | None, column: LiteralString) -> list[Condition]:
    """`search=`: a part of the column's text, whatever its case."""
    return [] if text is None else [where(f"strpos(lower({column}), lower($1)) > 0", text)]


def chosen(column: LiteralString, values: Sequence[str] | None, but: Sequence[str] | None = None) -> list[Condition]:
    """`status=` and `status[ne]=`: any of `values`, none of `but`; what is empty says nothing."""
    found: list[Condition] = []
    if values:
        found.append(where(f"{column} = ANY($1)", list(values)))
    if but:
        found.append(where(f"{column} <> ALL($1)", list(but)))
    return found


def labels(given: Sequence[Label] | None, column: LiteralString = "labels") -> list[Condition]:
    """`label=key:value` in a column of type jsonb; all must hold."""
    pairs = [label.partition(":") for label in given or []]
    return [where(f"{column} @> $1", {key: value}) for key, _, value in pairs]
