"""A file that cannot be read at one sitting is two files."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE, TESTS = 400, 600
TREES = (
    "server/cygnid",
    "cli/cygni_cli",
    "sdk/generator",
    "sdk/python/cygni",
    "server/tests",
    "cli/tests",
    "sdk/python/tests",
    "sdk/conformance",
    "sdk/node/tests",
    "benchmarks",
)
GRANTED: dict[str, int] = {}
"""Files that may be longer, and how long. The list may only shrink."""


def too_long(root: Path) -> list[str]:
    found: list[str] = []
    for file in sorted(path for tree in TREES for path in (root / tree).rglob("*.py")):
        name = file.relative_to(root).as_posix()
        lines = file.read_text().splitlines()
        if any("@generated" in line for line in lines[:5]):
            continue  # nobody reads or writes it: its template is what is kept short
        ceiling = GRANTED.get(name, TESTS if "/tests/" in f"/{name}" else CODE)
        if len(lines) > ceiling:
            found.append(f"{name} has {len(lines)} lines, {ceiling} are allowed: split it by verb family")
    return found


def test_no_file_is_too_long() -> None:
    assert not too_long(ROOT)


def test_no_grant_is_unused() -> None:
    for name, ceiling in GRANTED.items():
        allowed = TESTS if "/tests/" in f"/{name}" else CODE
        assert len((ROOT / name).read_text().splitlines()) > allowed, f"{name} no longer needs its {ceiling} lines"


@pytest.mark.parametrize(("name", "lines"), [("server/cygnid/a.py", CODE + 1), ("server/tests/a.py", TESTS + 1)])
def test_one_line_too_many_is_found(tmp_path: Path, name: str, lines: int) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text("pass\n" * lines)
    assert [line.split()[0] for line in too_long(tmp_path)] == [name]
    file.write_text("pass\n" * (lines - 1))
    assert not too_long(tmp_path)
