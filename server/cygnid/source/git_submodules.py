"""Submodules: which of them the operator allows, where they are, and how their trees come into the one that names
them. Pure.

Whoever writes a repository writes its `.gitmodules`, and need not be the one whose connection fetches it: without a
list of what is allowed, a commit could have any repository fetched that the connection can read.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from cygnid.source.git_url import BadUrl, GitUrl, is_host

MAX, MAX_DEPTH = 32, 4
"""How many there may be in all, and how deep in each other."""
_TOP = re.compile(r"([a-z]+://[^/]+/|(?:[^/@]+@)?[^/:]+:)(.*)", re.IGNORECASE)
_SCRATCH = "--work-tree=/tmp"
"""Of commands that want to have one; they touch the index alone."""


@dataclass(frozen=True, kw_only=True)
class Submodule:
    path: str
    """In the tree as it is now."""
    commit: str
    base: str | None
    """URL of the repository that names it; None: it has none."""
    below: str
    """Where that repository lies in the tree: "", or its path and a slash."""
    depth: int


class Allowed:
    """`words`: `host`, or `host/path` for the repository at this path and all below it. A host has its port where that
    is not the usual one. Raises ValueError for other words."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._prefixes: list[tuple[str, list[str]]] = []
        for word in words:
            host, _, path = word.partition("/")
            if not is_host(host) or host.endswith(":"):
                raise ValueError(f"{word} is neither host nor host/path.")
            self._prefixes.append((host.lower(), _segments(path)))

    def allows(self, url: GitUrl) -> bool:
        path = _segments(url.path)
        if any(unquote(part) in ("", ".", "..") or "%2f" in part.lower() for part in path):
            return False  # it leads elsewhere than it says
        return any(
            host == url.authority.lower() and path[: len(prefix)] == prefix
            for host, prefix in self._prefixes
            if url.scheme != "file"
        )


def wanted(url: GitUrl) -> str:
    """What the operator can allow it by: the folder that it is in."""
    return "/".join((url.authority, *_segments(url.path)[:-1]))


def resolved(text: str, base: str | None) -> str:
    """The URL that `.gitmodules` means: one that begins with ./ or ../ is relative to that of its repository. Raises
    BadUrl."""
    if not text.startswith(("./", "../")):
        return text
    found = _TOP.fullmatch(base.rstrip("/")) if base else None
    if found is None:
        raise BadUrl("Is relative to a repository that has no URL")
    path = found[2].split("/")
    for part in text.rstrip("/").split("/"):
        if part == "..":
            if not path[-1:] or not path[-1]:
                raise BadUrl("Leads above its host")
            path.pop()
        elif part != ".":
            path.append(part)
    return found[1] + "/".join(path)


def modules(said: bytes) -> Mapping[str, str]:
    """Path → URL, of git's answer to `list_modules`."""
    values: dict[tuple[str, str], str] = {}
    for entry in said.decode("utf-8", "surrogateescape").split("\0"):
        key, _, value = entry.partition("\n")
        name, _, what = key.removeprefix("submodule.").rpartition(".")
        values[name, what] = value
    return {
        path.rstrip("/"): url
        for (name, what), path in values.items()
        if what == "path" and (url := values.get((name, "url")))
    }


def list_modules(tree: str, below: str) -> tuple[str, ...]:
    pattern = r"^submodule\..*\.(path|url)$"
    return ("git", "config", "--blob", f"{tree}:{below}.gitmodules", "-z", "--get-regexp", pattern)


def grafted(tree: str, path: str, commit: str) -> tuple[tuple[str, ...], ...]:
    """Commands after which the index is `tree` with that of `commit` at `path`."""
    return (
        ("git", "read-tree", tree),
        ("git", _SCRATCH, "update-index", "--force-remove", "--", path),
        ("git", _SCRATCH, "read-tree", f"--prefix={path}/", commit),
    )


WRITE_TREE = ("git", "write-tree")


def _segments(path: str) -> list[str]:
    """Of a repository's path, with or without .git at its end."""
    parts = path.strip("/").split("/") if path.strip("/") else []
    return [*parts[:-1], parts[-1].removesuffix(".git")] if parts else []
