"""Which of the machine's versions satisfies what an app asks for (PEP 440 specifiers, npm's semver ranges)."""

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cygnid.build.base import BuildFailed
from cygnid.build.detect.files import Files

Version = tuple[int, ...]


@dataclass(frozen=True)
class Wish:
    text: str
    """As written, such as `>=3.11`."""
    source: str
    """The file that says it."""


_PACKAGES = {
    label: f" (Debian, Ubuntu: `apt-get install {package}`)"
    for label, package in {
        "Python": "python3 python3-venv",
        "Node": "nodejs npm",
        "Go": "golang-go",
        "Ruby": "ruby",
        "Bundler": "bundler",
        "PHP": "php-cli",
        "Composer": "composer",
        "Rust": "cargo",
        "Java": "default-jdk-headless",
        "Maven": "maven",
        "Gradle": "gradle",
        "Hugo": "hugo",
    }.items()
}


def parse(text: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d{1,18}", text)[:3])


def tool_version(files: Files, *names: str) -> Wish | None:
    """What `.tool-versions` (asdf) or `mise.toml` says of a tool that goes by any of these names."""
    for line in (files.read(".tool-versions") or "").splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and words[0] in names and words[1] not in ("system", "latest"):
            return Wish(words[1], ".tool-versions")
    for name in ("mise.toml", ".mise.toml"):
        try:
            tools: Any = tomllib.loads(files.read(name) or "").get("tools")
        except (ValueError, RecursionError):
            continue  # a tool manager's file is no file of the app's
        for tool in names if isinstance(tools, dict) else ():
            value = cast("dict[str, Any]", tools).get(tool)
            if isinstance(value, str) and value not in ("system", "latest"):
                return Wish(value, name)
    return None


def settle(
    label: str, available: Sequence[str], wish: Wish | None, matches: Callable[[Version, str], bool], *, same: int
) -> tuple[str, tuple[str, ...]]:
    """Like `choose`, with notes for the log. Who names one exact version (`3.12.4`) gets the nearest that has the same
    first `same` numbers when the machine lacks it: machines hold one patch level, files of strangers name any."""
    exact = re.fullmatch(r"v?\d{1,9}(\.\d{1,9}){2}", wish.text.strip()) if wish else None
    if wish is None or exact is None or any(matches(parse(version), wish.text) for version in available):
        return choose(label, available, wish, matches), ()
    wanted = parse(wish.text)
    near = [version for version in available if parse(version)[:same] == wanted[:same]]
    if not near:
        return choose(label, available, wish, matches), ()
    newer = [version for version in near if parse(version) > wanted]
    version = min(newer, key=parse) if newer else max(near, key=parse)
    return version, (f"{wish.source} asks for {label} {wish.text}; {version} is the nearest that this machine has.",)


def choose(label: str, available: Sequence[str], wish: Wish | None, matches: Callable[[Version, str], bool]) -> str:
    """The newest of `available` that the wish allows. Raises BuildFailed(toolchain_missing)."""
    ordered = sorted(available, key=parse, reverse=True)
    if not ordered:
        asked = f" {wish.text}" if wish else ""
        raise BuildFailed(
            "toolchain_missing",
            f"The app needs {label}{asked}, and this machine has none.",
            hint=f"Install {label} on the machine{_PACKAGES.get(label, '')}, and deploy again.",
        )
    for version in ordered:
        if wish is None or matches(parse(version), wish.text):
            return version
    assert wish is not None
    raise BuildFailed(
        "toolchain_missing",
        f"{wish.source} asks for {label} {wish.text}; this machine has {', '.join(ordered)}.",
        hint=f"Ask for one of these in {wish.source}, for example {'.'.join(ordered[0].split('.')[:2])}, or install "
        f"{label} {wish.text} on the machine.",
    )


def matches_python(version: Version, text: str) -> bool:
    """PEP 440 version specifiers; a bare version is a prefix: `3.12` allows every 3.12.x."""
    return all(_matches_specifier(version, part.strip()) for part in text.split(",") if part.strip())


def _matches_specifier(version: Version, text: str) -> bool:
    found = re.fullmatch(r"(===|==|~=|!=|>=|<=|>|<)?\s*v?(\d+(?:\.\d+)*)(\.\*)?\S*", text)
    if found is None:
        return False
    operator, wanted = found[1] or "prefix", parse(found[2])
    same = version[: len(wanted)] == wanted
    if operator in ("prefix", "==", "==="):
        # `==3.12` is exact in PEP 440; as a wish for an interpreter nobody means 3.12.0 alone.
        return same
    if operator == "!=":
        return not same
    if operator == "~=":
        return version >= wanted and version[: len(wanted) - 1] == wanted[:-1]
    return _compare(version, operator, wanted)


def _compare(version: Version, operator: str, wanted: Version) -> bool:
    padded = wanted + (0,) * (3 - len(wanted))
    return {
        ">=": version >= padded,
        ">": version > padded and version[: len(wanted)] != wanted,
        "<": version < padded,
        "<=": version <= padded or version[: len(wanted)] == wanted,
    }[operator]


def matches_node(version: Version, text: str) -> bool:
    """Ranges of npm: alternatives by `||`, each a conjunction of comparators, `^`, `~`, x-ranges and `a - b`."""
    return any(_matches_set(version, part.strip()) for part in text.split("||"))


def _matches_set(version: Version, text: str) -> bool:
    if text in ("", "*", "x", "node", "latest", "current", "lts/*"):
        return True
    hyphen = re.fullmatch(r"v?([\d.]+)\s+-\s+v?([\d.]+)", text)
    if hyphen:
        return _compare(version, ">=", parse(hyphen[1])) and _compare(version, "<=", parse(hyphen[2]))
    parts = re.sub(r"([<>=~^]+)\s+", r"\1", text).split()
    return all(_matches_comparator(version, part) for part in parts)


def _matches_comparator(version: Version, text: str) -> bool:
    found = re.fullmatch(r"(>=|<=|>|<|=|\^|~>|~)?v?(\d+(?:\.\d+)*)(?:\.[xX*])*(?:[-+]\S*)?", text)
    if found is None:
        return False
    operator, wanted = found[1] or "=", parse(found[2])
    if operator == "=":
        return version[: len(wanted)] == wanted
    if operator == "^":
        keep = next((index for index, part in enumerate(wanted) if part), len(wanted) - 1) + 1
        return _compare(version, ">=", wanted) and version[:keep] == wanted[:keep]
    if operator in ("~", "~>"):
        keep = min(2, len(wanted))
        return _compare(version, ">=", wanted) and version[:keep] == wanted[:keep]
    return _compare(version, operator, wanted)
