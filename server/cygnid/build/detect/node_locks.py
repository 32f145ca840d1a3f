"""Does a lock file of Node's package managers have what package.json asks for."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cygnid.build.detect.inputs import table

_PLAIN = re.compile(r"[\^~]?\d[\w.+-]*")
"""Other specifiers (tags, paths, aliases, catalogs) have forms of their own in locks; they are left to the manager."""


def missing(manager: str, lock: str, package: Mapping[str, Any]) -> str | None:
    """`name specifier` of the first dependency that a frozen installation would stop at, or None. Says nothing where
    this cannot be told without resolving: overrides, hooks, locks in forms that are not known."""
    if any(package.get(key) for key in ("overrides", "resolutions")) or table(package, "pnpm", "overrides"):
        return None
    has = {"npm": _npm, "pnpm": _pnpm, "yarn": _yarn, "berry": _berry}[manager]
    wanted = list(_wanted(package))
    known = has(lock, [f"{name}@{spec}" for name, spec in wanted])
    if known is None:
        return None
    return next((f"{name} {spec}" for name, spec in wanted if f"{name}@{spec}" not in known), None)


def _wanted(package: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    optional = table(package, "optionalDependencies")  # a machine that cannot have one leaves it out
    for kind in ("dependencies", "devDependencies"):
        for name, spec in table(package, kind).items():
            if name not in optional and isinstance(spec, str) and _PLAIN.fullmatch(spec):
                yield name, spec


def _npm(lock: str, wanted: list[str]) -> set[str] | None:
    """package-lock.json, versions 1 to 3. A range is left to npm, an exact version is compared."""
    try:
        content: Any = json.loads(lock)
    except (ValueError, RecursionError):
        return None
    packages = table(content, "packages")
    entries = {name.removeprefix("node_modules/"): entry for name, entry in packages.items()}
    entries = entries or table(content, "dependencies")
    if not entries:
        return None
    known: set[str] = set()
    for text in wanted:
        name, _, spec = text.rpartition("@")
        locked = table(entries, name).get("version")
        exact = re.fullmatch(r"\d+\.\d+\.\d+", spec)
        if name in entries and (not exact or not isinstance(locked, str) or locked == spec):
            known.add(text)
    return known


def _pnpm(lock: str, _wanted: list[str]) -> set[str] | None:
    """The importer `.` of pnpm-lock.yaml from version 9 on: names with their specifiers, which must be equal."""
    block = re.search(r"(?m)^importers:\n\n?  \.:\n((?:(?:    .*)?\n)*)", lock)
    if block is None:
        return None
    pairs = re.findall(r"(?m)^      '?([^\s':]+)'?:\n        specifier: '?([^\s']+)'?$", block[1])
    return {f"{name}@{spec}" for name, spec in pairs}


def _yarn(lock: str, _wanted: list[str]) -> set[str] | None:
    """yarn.lock of version 1: the heads of its entries."""
    heads = [line[:-1] for line in lock.splitlines() if line.endswith(":") and line[0] not in " #"]
    return {pattern.strip('" ') for head in heads for pattern in head.split(",")}


def _berry(lock: str, wanted: list[str]) -> set[str] | None:
    heads = _yarn(lock, wanted) or set()
    return {head.replace("@npm:", "@", 1) for head in heads}
