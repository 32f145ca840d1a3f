"""One place commits. What a failing commit answers is in core/test_http.py."""

import ast
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[2] / "cygnid"
ALLOWED = {"core/db.py", "core/postgres/migrations.py"}
"""The door's transaction, and the migrations that run before there is a door."""
ENDING = {"commit", "rollback", "transaction"}
STATEMENTS = {"BEGIN", "COMMIT", "ROLLBACK", "START TRANSACTION"}


def endings(root: Path) -> list[str]:
    found: list[str] = []
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root).as_posix()
        if name in ALLOWED:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            # a verb of ours that is called rollback takes what it rolls back
            called = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ENDING
                and not node.args
            )
            said = isinstance(node, ast.Constant) and str(node.value).rstrip(";") in STATEMENTS
            if called or said:
                found.append(f"{name}:{getattr(node, 'lineno', 0)}: only core/db.begin() ends a transaction")
    return found


def test_only_begin_ends_a_transaction() -> None:
    assert not endings(SERVER)


@pytest.mark.parametrize("line", ["connection.commit()", "tx.rollback()", "tx.execute('COMMIT')", "c.transaction()"])
def test_another_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.py").write_text(line + "\n")
    assert [item.split(":")[0] for item in endings(tmp_path)] == ["a.py"]
