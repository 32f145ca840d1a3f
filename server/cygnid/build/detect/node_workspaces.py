"""Workspaces of Node's package managers: one lock file above the folder that is built, for all packages below it."""

import fnmatch
import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cygnid.build.detect.files import Files
from cygnid.build.detect.inputs import json_file, table
from cygnid.build.detect.language import Look
from cygnid.build.detect.node_managers import LOCKS

PNPM = "pnpm-workspace.yaml"
_MOST = 200
_DEEPEST = 5
"""Folders that `**` stands for."""
_IDENTITY = ("name", "version", "workspaces", "bin")


@dataclass(frozen=True, kw_only=True)
class Workspace:
    home: str
    """Where the lock file is, from the source's top."""
    files: Files
    """Of that folder."""
    package: dict[str, Any]
    """Its package.json."""
    members: Mapping[str, dict[str, Any]]
    """Folder of a package, from `home` → its package.json. The folder that is built is one, or `home` itself."""
    member: str
    """Which; "" for `home`."""

    @property
    def packages(self) -> list[dict[str, Any]]:
        return [self.package, *self.members.values()]

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(f"{folder}/package.json" for folder in self.members)

    def key(self, keys: Sequence[str]) -> str:
        """Equal where packages ask for the same and are at the same places."""
        digest = hashlib.sha256(self.home.encode())
        for folder, package in (("", self.package), *self.members.items()):
            asked = {key: package.get(key) for key in (*_IDENTITY, *keys)}
            digest.update(f"\0{folder}\0{json.dumps(asked, sort_keys=True)}".encode())
        return digest.hexdigest()

    def built_first(self) -> list[str]:
        """The packages with a `build` script that the one which is built is made of, those it needs itself before
        those that need them."""
        by_name = {str(package.get("name")): folder for folder, package in self.members.items()}
        found: list[str] = []
        seen = {self.member}

        def add(folder: str) -> None:
            package = self.members.get(folder, self.package)
            for name in (*table(package, "dependencies"), *table(package, "devDependencies")):
                needed = by_name.get(name)
                if needed is not None and needed not in seen:
                    seen.add(needed)
                    add(needed)
            if folder != self.member and "build" in table(package, "scripts"):
                found.append(folder)

        add(self.member)
        return found


def find(look: Look) -> Workspace | None:
    """That of the folder that is built: what begins at the nearest folder, itself or above, with a lock file or a list
    of packages, if that names this one. Raises BuildFailed(source_invalid)."""
    home = next(((folder, files) for folder, files in look.upward() if _begins(files)), None)
    return None if home is None else _at(*home, look.root)


def _begins(files: Files) -> bool:
    names = files.names()
    if PNPM in names or any(lock in names for lock in LOCKS):
        return True
    return "package.json" in names and "workspaces" in json_file(files, "package.json")


def _at(home: str, files: Files, root: str) -> Workspace | None:
    if "package.json" not in files.names():
        return None
    package = json_file(files, "package.json")
    patterns = _patterns(files, package)
    if not patterns:
        return None
    members = {folder: json_file(files, f"{folder}/package.json") for folder in _members(files, patterns)}
    member = posixpath.relpath(root or ".", home or ".")
    member = "" if member == "." else member
    if member and member not in members:
        return None
    return Workspace(home=home, files=files, package=package, members=members, member=member)


def _patterns(files: Files, package: dict[str, Any]) -> list[str]:
    if (text := files.read(PNPM)) is not None:
        if flow := re.search(r"(?m)^packages:[ \t]*\[([^\]]*)\]", text):
            return re.findall(r"""[^"'\s,]+""", flow[1])
        block = re.search(r"(?m)^packages:[ \t]*\n((?:[ \t]*(?:-.*|#.*)?(?:\n|\Z))*)", text)
        return re.findall(r"""(?m)^[ \t]*-[ \t]*["']?([^"'\s#]+)""", block[1]) if block else []
    said = package.get("workspaces")
    listed = table(package, "workspaces").get("packages") if isinstance(said, dict) else said
    return [one for one in cast("list[Any]", listed) if isinstance(one, str)] if isinstance(listed, list) else []


def _members(files: Files, patterns: Sequence[str]) -> list[str]:
    """Sorted folders with a package.json that the patterns name, and none takes away by `!`."""
    taken = [posixpath.normpath(one[1:]) for one in patterns if one.startswith("!")]
    found: set[str] = set()
    for pattern in patterns:
        words = [word for word in posixpath.normpath(pattern).split("/") if word not in ("", ".")]
        if not pattern.startswith("!") and ".." not in words:
            found.update(_expanded(files, "", words, _DEEPEST))
    kept = [folder for folder in found if not any(fnmatch.fnmatchcase(folder, one) for one in taken)]
    return sorted(kept)[:_MOST]


def _expanded(files: Files, folder: str, words: Sequence[str], deeper: int) -> list[str]:
    if not words:
        return [folder] if folder and "package.json" in files.names(folder) else []
    word, *rest = words
    if word == "**":
        found = _expanded(files, folder, rest, deeper)
        for name in files.names(folder) if deeper else ():
            if name != "node_modules" and not name.startswith("."):
                found += _expanded(files, posixpath.join(folder, name), words, deeper - 1)
        return found
    if not any(sign in word for sign in "*?["):
        return _expanded(files, posixpath.join(folder, word), rest, deeper)
    return [
        one
        for name in files.names(folder)
        if name != "node_modules" and fnmatch.fnmatchcase(name, word)
        for one in _expanded(files, posixpath.join(folder, name), rest, deeper)
    ]
