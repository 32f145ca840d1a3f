"""Compares what was seen with what a scenario expects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MISSING = object()


def differences(expected: Any, seen: Any, where: str, first: Any = None) -> Iterator[str]:
    """One line for each difference; `first` is what stands at the same place of the first request, for `<same>`."""
    if isinstance(expected, dict):
        yield from _of_mapping(cast("dict[str, Any]", expected), seen, where, first)
    elif isinstance(expected, list):
        yield from _of_list(cast("list[Any]", expected), seen, where)
    elif not _matches(expected, seen, first):
        yield f"{where}: expected {expected!r}, saw {'nothing' if seen is _MISSING else repr(seen)[:500]}"


def _of_mapping(expected: dict[str, Any], seen: Any, where: str, first: Any) -> Iterator[str]:
    if not isinstance(seen, dict):
        yield f"{where}: expected {expected!r}, saw {'nothing' if seen is _MISSING else repr(seen)[:500]}"
        return
    seen = cast("dict[str, Any]", seen)
    if list(expected) == ["exactly"]:
        expected = expected["exactly"]
        for name in sorted(seen.keys() - expected.keys()):
            yield f"{where}.{name}: not expected, is {seen[name]!r}"
    first = cast("dict[str, Any]", first) if isinstance(first, dict) else {}
    for name, value in expected.items():
        yield from differences(value, seen.get(name, _MISSING), f"{where}.{name}", first.get(name))


def _of_list(expected: list[Any], seen: Any, where: str) -> Iterator[str]:
    if not isinstance(seen, list):
        yield f"{where}: expected {expected!r}, saw {'nothing' if seen is _MISSING else repr(seen)[:500]}"
        return
    seen = cast("list[Any]", seen)
    if len(expected) != len(seen):
        yield f"{where}: expected {len(expected)} items, saw {len(seen)}: {repr(seen)[:500]}"
    for index, (one, other) in enumerate(zip(expected, seen, strict=False)):
        yield from differences(one, other, f"{where}[{index}]")


def _matches(expected: Any, seen: Any, first: Any) -> bool:
    match expected:
        case "<absent>":
            return seen is _MISSING
        case "<any>":
            return seen is not _MISSING and seen is not None
        case "<uuid>":
            return isinstance(seen, str) and _UUID.fullmatch(seen) is not None
        case "<same>":
            return seen is not _MISSING and seen == first
        case str() if expected.startswith("<re:") and expected.endswith(">"):
            return isinstance(seen, str) and re.search(expected[4:-1], seen) is not None
        case bool() | None:
            return seen is expected
        case _:
            return not isinstance(seen, bool) and seen == expected
