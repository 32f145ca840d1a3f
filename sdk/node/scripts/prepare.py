"""Packages from the lock file and a build of what the sources are now, once, however many ask for it at a time.

Ends with 77 where the checkout cannot be written by this user; the last line on standard error says so.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

NODE = Path(__file__).parents[1]
STAMPS = NODE / "node_modules" / ".cygni"
NOT_HERE = 77


def prepare() -> None:
    """Raises CalledProcessError with what npm or the compiler said."""
    (NODE / "node_modules").mkdir(exist_ok=True)
    with (NODE / "node_modules" / ".cygni-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _once("packages", [NODE / "package-lock.json"], ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        sources = [*sorted((NODE / "src").rglob("*.ts")), NODE / "tsconfig.json", NODE / "scripts" / "build.mjs"]
        _once("build", sources, ["node", "scripts/build.mjs"])


def _once(name: str, inputs: Iterable[Path], command: list[str]) -> None:
    digest = hashlib.sha256()
    for path in inputs:
        digest.update(path.relative_to(NODE).as_posix().encode() + b"\0" + path.read_bytes())
    stamp = STAMPS / name
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    subprocess.run(command, cwd=NODE, check=True, stdout=sys.stderr)
    STAMPS.mkdir(exist_ok=True)
    stamp.write_text(digest.hexdigest())


if __name__ == "__main__":
    if not os.access(NODE, os.W_OK):
        print("sdk/node belongs to another user, and its packages are installed into it", file=sys.stderr)
        sys.exit(NOT_HERE)
    prepare()
