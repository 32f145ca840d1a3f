"""Filters of lists by time: `since`, `until`, and `createdAt[gte]`, `updatedAt[lt]` and their like."""

import re
from datetime import UTC, datetime
from typing import LiteralString

from msgspec import field

from cygnid.core.errors import ValidationError
from cygnid.core.paging import Condition, PageQuery, where

_FORM = re.compile(r"\d{4}-\d\d-\d\d([Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d))?")


class TimeQuery(PageQuery, frozen=True, kw_only=True):
    """The parameters of a list that is filtered by time. Each is a date or a date-time (RFC 3339); a date is its
    first moment in UTC. `since` is the first moment that belongs, `until` the first that does not."""

    since: str | None = None
    until: str | None = None
    created_at_gte: str | None = field(name="createdAt[gte]", default=None)
    created_at_gt: str | None = field(name="createdAt[gt]", default=None)
    created_at_lte: str | None = field(name="createdAt[lte]", default=None)
    created_at_lt: str | None = field(name="createdAt[lt]", default=None)
    updated_at_gte: str | None = field(name="updatedAt[gte]", default=None)
    updated_at_gt: str | None = field(name="updatedAt[gt]", default=None)
    updated_at_lte: str | None = field(name="updatedAt[lte]", default=None)
    updated_at_lt: str | None = field(name="updatedAt[lt]", default=None)


def by_time(
    query: TimeQuery, *, created: LiteralString = "created_at", updated: LiteralString = "updated_at"
) -> list[Condition]:
    """`created`, `updated`: the columns. Raises ValidationError."""
    asked: list[tuple[str, str | None, LiteralString]] = [
        ("since", query.since, created + " >= $1"),
        ("until", query.until, created + " < $1"),
        ("createdAt[gte]", query.created_at_gte, created + " >= $1"),
        ("createdAt[gt]", query.created_at_gt, created + " > $1"),
        ("createdAt[lte]", query.created_at_lte, created + " <= $1"),
        ("createdAt[lt]", query.created_at_lt, created + " < $1"),
        ("updatedAt[gte]", query.updated_at_gte, updated + " >= $1"),
        ("updatedAt[gt]", query.updated_at_gt, updated + " > $1"),
        ("updatedAt[lte]", query.updated_at_lte, updated + " <= $1"),
        ("updatedAt[lt]", query.updated_at_lt, updated + " < $1"),
    ]
    return [where(sql, moment(name, text)) for name, text, sql in asked if text is not None]


def moment(name: str, text: str) -> datetime:
    """The time that the parameter `name` says. Raises ValidationError."""
    try:
        if _FORM.fullmatch(text) is None:
            raise ValueError
        found = datetime.fromisoformat(text.upper())
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as wrong:
        raise ValidationError.one(name, "Must be a date or date-time as 2024-01-31 or 2024-01-31T12:00:00Z") from wrong
    return found
