"""Every route says what it is, who may, what comes in and what can go wrong."""

import re

import cygnid.app  # noqa: F401  fills the table
from cygnid.core.access import Permission
from cygnid.core.http import OPERATIONS, Operation

_ID = re.compile(r"^[a-z][A-Za-z]*\.[a-z][A-Za-z]*$")


def unclear(operations: list[Operation]) -> list[str]:
    found: list[str] = []
    for item in operations:
        name = f"{item.method} {item.path}"
        if not _ID.match(item.id):
            found.append(f"{name}: the id {item.id} is not noun.verb")
        if item.needs not in ("public", "any", "session") and not isinstance(item.needs, Permission):
            found.append(f"{name}: needs a permission, `any`, `session` or `public`")
        if not item.summary.endswith("."):
            found.append(f"{name}: its docstring's first line is the summary, a sentence")
        if not item.path.startswith("/v1"):
            found.append(f"{name}: everything is below /v1")
    for what in ("id", "route"):
        said = [item.id if what == "id" else f"{item.method} {item.path}" for item in operations]
        found += [
            f"{twice}: the same {what} twice" for twice in sorted({word for word in said if said.count(word) > 1})
        ]
    return found


def test_every_route_is_clear() -> None:
    assert OPERATIONS
    assert not unclear(OPERATIONS)


def test_an_unclear_one_is_found() -> None:
    one = OPERATIONS[0]

    async def silent() -> None: ...

    from dataclasses import replace

    bad = replace(one, id="Index", needs="nobody", endpoint=silent, path="/v2")  # type: ignore[arg-type]
    assert len(unclear([bad])) == 4
    assert len(unclear([one, one])) == 2
