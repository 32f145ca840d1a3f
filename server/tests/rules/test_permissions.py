"""The checked-in matrix of roles and routes: who may call what, to be read by people before it changes.

`make docs` writes it anew.
"""

from collections.abc import Sequence
from pathlib import Path

import cygnid.app  # noqa: F401  fills the table
from cygnid.core.access import ROLES, Permission
from cygnid.core.http import OPERATIONS, Operation

FILE = Path(__file__).parent / "permissions.tsv"


def matrix(operations: Sequence[Operation]) -> str:
    """A line per route: its id, what it needs, then each built-in role."""
    lines = ["\t".join(["operation", "needs", *ROLES])]
    for item in sorted(operations, key=lambda item: item.id):
        marks = ["yes" if _may(item, allowed) else "no" for allowed in ROLES.values()]
        lines.append("\t".join([item.id, str(item.needs), *marks]))
    return "\n".join(lines) + "\n"


def _may(item: Operation, allowed: frozenset[Permission]) -> bool:
    return item.needs in ("public", "any", "session") or item.needs in allowed


def test_the_matrix_is_what_was_agreed() -> None:
    assert FILE.read_text() == matrix(OPERATIONS), "look at the difference, then `make docs`"


def test_another_permission_shows() -> None:
    from dataclasses import replace

    changed = [replace(OPERATIONS[0], needs=Permission.TEAMS_DELETE), *OPERATIONS[1:]]
    assert matrix(changed) != matrix(OPERATIONS)


if __name__ == "__main__":
    FILE.write_text(matrix(OPERATIONS))
