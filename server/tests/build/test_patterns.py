"""Patterns of watch paths. Where git is there, it is asked whether it sees them alike."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from cygnid.build.patterns import LONGEST, first_match, problem

CASES = [
    ("web", {"web/a", "web/b/c", "x/web/y", "web"}, {"webs", "x/webs/y"}),
    ("web/", {"web/a", "x/web/y/z"}, {"web", "x/web"}),
    ("/web", {"web", "web/a"}, {"x/web"}),
    ("apps/web", {"apps/web/a", "apps/web"}, {"x/apps/web/a", "apps/api/a"}),
    ("apps/*/src", {"apps/web/src/a"}, {"apps/src/a", "apps/a/b/src/c"}),
    ("apps/**/src", {"apps/src/a", "apps/a/b/src/c"}, {"src/a", "apps/a"}),
    ("**/src/", {"src/a", "a/b/src/c"}, {"src", "a/src"}),
    ("src/**", {"src/a", "src/b/c"}, {"src", "a/src/b"}),
    ("*.py", {"a.py", "b/c.py", "d.py/e"}, {"a.pyc", "b/c"}),
    ("/*.py", {"a.py"}, {"b/c.py"}),
    ("a?c", {"abc", "x/adc"}, {"ac", "a/c"}),
    ("[ab]x", {"ax", "bx"}, {"cx"}),
    ("[^ab]x", {"cx"}, {"ax"}),
    ("[!ab]x", {"cx"}, {"bx"}),
    ("*", {"a", "b/c"}, set[str]()),
    ("**", {"a", "b/c"}, set[str]()),
    ("a/**/b/**/c", {"a/b/c", "a/x/b/y/z/c/d"}, {"a/c", "a/b/x"}),
]


@pytest.mark.parametrize(("pattern", "named", "others"), CASES)
def test_a_pattern(pattern: str, named: set[str], others: set[str]) -> None:
    assert {path for path in named | others if first_match([pattern], [path])} == named


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to compare with")
@pytest.mark.parametrize(("pattern", "named", "others"), CASES)
def test_git_ignores_what_a_pattern_names(tmp_path: Path, pattern: str, named: set[str], others: set[str]) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(f"{pattern}\n")
    said = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", "--stdin", "--no-index"],
        input="\n".join(named | others),
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(said.stdout.split()) == named


def test_the_last_that_matches_decides() -> None:
    patterns = ["apps/web/", "!*.md", "apps/web/terms.md"]
    assert first_match(patterns, ["apps/web/README.md", "docs/a.md"]) is None
    assert first_match(patterns, ["apps/web/README.md", "apps/web/terms.md"]) == "apps/web/terms.md"


def test_a_list_that_begins_with_taking_away_begins_with_everything() -> None:
    assert first_match(["!docs/", "!*.md"], ["docs/a", "README.md"]) is None
    assert first_match(["!docs/", "!*.md"], ["docs/a", "src/a"]) == "src/a"


def test_a_leading_dot_is_the_top() -> None:
    assert first_match(["./web"], ["x/web/a"]) is None
    assert first_match(["./web"], ["web/a"]) == "web/a"


@pytest.mark.parametrize("pattern", ["*a" * 500 + "b", "**/a/" * 200 + "b", "[" * 1000, "(" * 100, "\\", "!/"])
def test_hostile_patterns_take_no_time(pattern: str) -> None:
    began = time.process_time()
    first_match([pattern], ["/".join(["a"] * 1000), "a" * 4000])
    assert time.process_time() - began < 30


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "empty"),
        ("!", "empty"),
        ("  ", "empty"),
        ("a\nb", "one line"),
        ("a\0", "one line"),
        ("../b", "leave"),
        ("!a/../b", "leave"),
        ("a" * (LONGEST + 1), "at most"),
    ],
)
def test_what_is_no_pattern(pattern: str, said: str) -> None:
    assert said in problem(pattern)


def test_what_is_one() -> None:
    assert [problem(pattern) for pattern in ("a", "!a/**", "/über/*.md", "a b")] == [""] * 4
