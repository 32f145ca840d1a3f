"""The highest leadership term that has acted on a folder."""

import fcntl
import os
from pathlib import Path

from cygnid.runtime.base import StaleLeader


def raise_if_stale(path: Path, term: int) -> None:
    """Keep `term` if it is the highest so far. Raises StaleLeader if lower: its leader was paused and replaced."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "r+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        highest = int(file.read().strip() or 0)
        if term < highest:
            raise StaleLeader(f"term {term} is over, {highest} acts on {path.parent}")
        if term > highest:
            file.seek(0)
            file.write(f"{term:020}\n")  # of one length: no crash leaves half of two numbers


def highest_term(path: Path) -> int:
    """0 when no leader has acted yet."""
    try:
        return int(path.read_text(encoding="ascii").strip() or 0)
    except FileNotFoundError:
        return 0
