"""Links of the document (OpenAPI 3.1, "Link Object"): what can be asked of a resource that was just made.

They follow from the paths: whoever makes something in a collection may ask whatever lies below the collection and its
id. Programs that walk the API by the document (fuzzers, explorers) know by them where ids come from.
"""

import re
from collections.abc import Sequence
from typing import Any

from cygnid.core.http import Operation

_PART = re.compile(r"\{(\w+)\}")


def links_of(item: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    """Operation id → link, for the answer of `item`; {} where it makes nothing that has a path of its own."""
    if item.method != "POST" or item.status != 201:
        return {}
    found: dict[str, Any] = {}
    for other in sorted(operations, key=lambda other: other.id):
        below = other.path.removeprefix(f"{item.path}/")
        own = _PART.match(below)
        if below == other.path or own is None:
            continue
        asked = {name: f"$request.path.{name}" for name in _PART.findall(item.path)}
        asked[own[1]] = f"$response.body#/data/{'name' if own[1] == 'name' else 'id'}"
        if set(_PART.findall(other.path)) == set(asked):
            found[other.id] = {"operationId": other.id, "parameters": asked}
    return found
