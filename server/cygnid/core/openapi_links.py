"""Links of the document: what can be asked of a thing that was just made."""

import re
from collections.abc import Sequence
from typing import Any

from cygnid.core.http import Operation

_PARAMETER = re.compile(r"\{([A-Za-z]+)\}")


def links_of(item: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    """By operation id: the operations whose path is that of what `item` makes, with its new id for their last
    parameter. Empty for an operation that makes nothing."""
    if item.method != "POST" or item.status != 201:
        return {}
    given = _PARAMETER.findall(item.path)
    found: dict[str, Any] = {}
    for other in sorted(operations, key=lambda one: one.id):
        names = _PARAMETER.findall(other.path)
        if other.path.startswith(f"{item.path}/{{") and names[: len(given)] == given and len(names) == len(given) + 1:
            parameters = {name: f"$request.path.{name}" for name in given}
            parameters[names[-1]] = "$response.body#/data/id"
            found[other.id] = {"operationId": other.id, "parameters": parameters}
    return found
