"""Which build of the platform this is: two builds are the same when their code and their locked packages are."""

import hashlib
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Build:
    id: str
    """Hash of the server's files and of the lock."""
    commit: str | None
    """For people; None outside a git checkout. An edited file changes the id, not the commit."""


@cache
def this_build() -> Build:
    """As of the first call: what this process runs, whatever is edited later."""
    digest = hashlib.sha256()
    lock = PACKAGE.parents[1] / "requirements.lock"
    files = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".sql"}]
    if lock.exists():
        files.append(lock)
    for path in sorted(files):
        digest.update(f"{path.relative_to(PACKAGE.parents[1])}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return Build(id=digest.hexdigest()[:16], commit=_commit())


def _commit() -> str | None:
    command = ["git", "-C", str(PACKAGE), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
