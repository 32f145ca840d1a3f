"""The documentation says what the code does: made pages are fresh, links lead somewhere, commands exist."""

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"])
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scripts_docs", ROOT / "scripts" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dead_links(page: Path) -> list[str]:
    targets = [target for target in _LINK.findall(page.read_text()) if "://" not in target]
    return [f"{page.name}: {target}" for target in targets if not (page.parent / target).exists()]


def commands(text: str) -> Iterator[tuple[str, ...]]:
    """Every line of the text's shell blocks that calls one of our programs, as words without comments."""
    for language, block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines() if language == "sh" else ():
            for part in re.split(r"\||&&|\$\(|\)", line):
                words = shlex.split(part, comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*|sudo", words[0]):
                    words = words[1:]
                if words and Path(words[0]).name in ("cygni", "cygnid"):
                    yield (Path(words[0]).name, *words[1:])


def _help(*words: str) -> str:
    program = {"cygni": "cygni_cli.main", "cygnid": "cygnid"}[words[0]]
    code = f"import sys; sys.argv[0] = {words[0]!r}; from {program} import main; sys.exit(main())"
    argv = [sys.executable, "-c", code] if words[0] == "cygni" else [sys.executable, "-m", program]
    done = subprocess.run([*argv, *words[1:], "--help"], capture_output=True, text=True, timeout=120)
    return done.stdout if done.returncode == 0 else ""


def wrong(words: tuple[str, ...]) -> str | None:
    """Why this command cannot be typed; None: it can."""
    path = [words[0]]
    page = _help(*path)
    for word in words[1:]:
        if (
            not re.fullmatch(r"[a-z-]+", word)
            or word.startswith("-")
            or not re.search(rf"^  +{word}\b", page, re.MULTILINE)
        ):
            break
        path.append(word)
        page = _help(*path)
    if not page or (len(path) == 1 and len(words) > 1 and not words[1].startswith("-")):
        return f"{' '.join(words)}: no such command"
    options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    unknown = [option for option in options if not re.search(rf"(?<![\w-]){re.escape(option)}\b", page)]
    return f"{' '.join(words)}: no option {', '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("name", list(_script().pages()))
def test_pages_made_from_the_code_are_fresh(name: str) -> None:
    assert (DOCS / name).read_text() == _script().pages()[name], f"docs/{name} is stale: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    assert not dead_links(page)


def test_commands_can_be_typed() -> None:
    found = {words for page in PAGES for words in commands(page.read_text())}
    assert len(found) > 20
    assert not [problem for words in sorted(found) if (problem := wrong(words))]


def test_code_that_is_pointed_at_is_there() -> None:
    text = (DOCS / "adding-a-resource.md").read_text()
    paths = set(re.findall(r"`((?:server|sdk|cli)/[\w./-]+)`", text))
    assert len(paths) > 5
    assert not [path for path in sorted(paths) if not (ROOT / path).exists()]


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](missing.md) [b](page.md#x) [c](https://cygni.dev)\n```sh\ncygni deplyo\n```\n")
    assert dead_links(page) == ["page.md: missing.md"]
    assert [wrong(words) for words in commands(page.read_text())] == ["cygni deplyo: no such command"]
    assert wrong(("cygnid", "up", "--prot", "1")) == "cygnid up --prot 1: no option --prot"
    assert wrong(("cygnid", "up", "--port", "1")) is None
