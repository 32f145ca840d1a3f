"""npm, pnpm, yarn 1 or yarn berry: which one installs, in which version, and by which command."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cygnid.build.base import BuildFailed
from cygnid.build.detect.files import MAX_BYTES, Files
from cygnid.build.detect.inputs import table, text_of
from cygnid.build.detect.node_locks import missing

LOCKS = {  # the first that is there
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "npm-shrinkwrap.json": "npm",
    "package-lock.json": "npm",
}
_CONFIGURATION = {
    "npm": (".npmrc",),
    "pnpm": (".npmrc",),
    "yarn": (".npmrc", ".yarnrc"),
    "berry": (".yarnrc.yml",),
}
_FROM_SOURCE = {"pnpm": ("pnpm-workspace.yaml", ".pnpmfile.cjs", "patches"), "berry": (".yarn",)}
_PNPM = {"5": "7", "6": "8"}  # format of the lock → version; from 9.0 on all read it
_BERRY = {"4": "2", "5": "2", "6": "3", "7": "3", "8": "~4.9"}  # later ones of 4 want to rewrite this format
HERE = ".cygni"
"""Where the manager is put: below node_modules, so that it goes where the dependencies go."""


@dataclass(frozen=True, kw_only=True)
class Manager:
    name: str
    """npm, pnpm, yarn (1) or berry."""
    package: str
    """What npm installs to have it; "" for npm, which comes with Node."""
    lock: str | None
    inputs: tuple[str, ...]
    """All that it reads of the tree, when it does not read the rest of it."""
    from_source: str | None
    """What lies there that makes it read the rest."""
    notes: tuple[str, ...]


def choose(files: Files, names: Sequence[str], package: dict[str, Any], *, workspace: bool = False) -> Manager:
    """By `packageManager`, else by the lock file. `workspace`: whoever asks knows what pnpm-workspace.yaml leads to.
    Raises BuildFailed(source_invalid) when the lock does not have what package.json asks for: an installation by the
    lock would end with that."""
    said = re.fullmatch(r"(npm|pnpm|yarn)@(\d+\.\d+\.\d+[\w.-]*)(\+.*)?", text_of(package.get("packageManager")) or "")
    there = [name for name in LOCKS if name in names]
    family = said[1] if said else LOCKS[there[0]] if there else "npm"
    lock = next((name for name in there if LOCKS[name] == family), None)
    text = (files.read(lock) or "") if lock else ""
    source, version = _version(files, family, said[2] if said else None, text, package)
    is_berry = family == "yarn" and not re.match(r"1\b", version)
    name = "berry" if is_berry else family
    notes: list[str] = []
    if family != "npm":
        notes.append(f"{family} {version} installs ({source}); `packageManager` in package.json names another version.")
    ignored = [other for other in there if other != lock]
    if ignored:
        why = "packageManager" if said else lock
        notes.append(f"{', '.join(ignored)} not used: {why} says {family}. Remove what is not used.")
    if lock is None:
        bun = next((other for other in ("bun.lock", "bun.lockb") if other in names), None)
        what = f"{bun} is not read" if bun else f"There is no {_lock_of(family)}"
        notes.append(f"{what}: versions may differ from one installation to the next.")
    elif len(text) < MAX_BYTES and (lacking := missing(name, text, package)) and ".pnpmfile.cjs" not in names:
        raise BuildFailed(
            "source_invalid",
            f"package.json asks for {lacking}, and {lock} does not have it.",
            hint=f"Run `{family} install` where you develop, commit {lock}, and deploy again; or remove {lock} to "
            "install without one.",
        )
    config = tuple(file for file in _CONFIGURATION[name] if file in names)
    known = tuple(file for file in ("pnpm-workspace.yaml",) if workspace and name == "pnpm" and file in names)
    return Manager(
        name=name,
        package="" if family == "npm" else f"{'@yarnpkg/cli-dist' if is_berry else family}@{version}",
        lock=lock,
        inputs=("package.json", *((lock,) if lock else ()), *config, *known),
        from_source=f"a {lock} too long to compare"
        if len(text) >= MAX_BYTES
        else next((entry for entry in _FROM_SOURCE.get(name, ()) if entry in names and entry not in known), None),
        notes=tuple(notes),
    )


def command(manager: Manager, *, building: bool) -> str:
    """What builds needs the development dependencies; what only runs does not."""
    if manager.name == "npm":
        omit = "--include=dev" if building else "--omit=dev"
        return f"npm ci {omit}" if manager.lock else f"npm install --no-package-lock {omit}"
    frozen = manager.lock is not None
    install = {
        "pnpm": f"pnpm install {'--frozen-lockfile' if frozen else '--no-frozen-lockfile'} --prod={_word(not building)}"
        ' --store-dir="$HOME/.pnpm-store"',
        "yarn": f"yarn install --non-interactive {'--frozen-lockfile' if frozen else '--no-lockfile'}"
        f" --production={_word(not building)}",
        "berry": f"yarn install {'--immutable' if frozen else '--no-immutable'}",
    }[manager.name]
    # berry empties node_modules of what it does not know, so the manager moves in afterwards
    return (
        f"npm install --silent --no-save --no-package-lock --prefix {HERE} {shlex.quote(manager.package)}"
        f' && PATH="$PWD/{HERE}/node_modules/.bin:$PATH" {install}'
        f" && mkdir -p node_modules && mv {HERE}/node_modules node_modules/{HERE} && rmdir {HERE}"
    )


def _word(value: bool) -> str:
    return "true" if value else "false"


def _lock_of(family: str) -> str:
    return {"pnpm": "pnpm-lock.yaml", "yarn": "yarn.lock"}.get(family, "package-lock.json")


def _version(files: Files, family: str, said: str | None, lock: str, package: dict[str, Any]) -> tuple[str, str]:
    """(who says it, version or range)."""
    if said:
        return "packageManager", said
    if family == "yarn" and (
        path := re.search(r"(?m)^yarnPath:.*yarn-(\d+\.\d+\.\d+)", files.read(".yarnrc.yml") or "")
    ):
        return ".yarnrc.yml", path[1]
    engine = text_of(table(package, "engines").get("pnpm"))
    if family == "pnpm" and engine and re.fullmatch(r"[\d.xX^~<>=| *-]+", engine):
        return "engines.pnpm", engine.strip()
    if family == "pnpm":
        wrote = re.search(r"(?m)^lockfileVersion: '?(\d+)", lock)
        return "pnpm-lock.yaml", _PNPM.get(wrote[1], "10") if wrote else "10"
    if family == "yarn":
        wrote = re.search(r"(?m)^__metadata:\n  version: (\d+)", lock)
        return "yarn.lock", _BERRY.get(wrote[1], "4") if wrote else "1"
    return "", ""
