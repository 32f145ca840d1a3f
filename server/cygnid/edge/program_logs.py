"""What the edge's programs say of themselves: read for error messages, and kept from growing for ever."""

import os
from pathlib import Path

LIMIT = 16 << 20


def tail(log: Path, since: int = 0) -> str:
    """The end of a log, for an error's message."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since if since <= size else 0, size - 1000))
            return file.read().decode(errors="replace").strip() or "its log says nothing"
    except FileNotFoundError:
        return "it has no log"


def outgrown(log: Path) -> bool:
    try:
        return log.stat().st_size > LIMIT
    except FileNotFoundError:
        return False


def trim(log: Path) -> None:
    """Begin anew a log that has outgrown its limit; its last part goes to `<name>.1`. The file stays the same, since
    programs hold it open, and appending they go on at its new end. What they say in between is lost."""
    if not outgrown(log):
        return
    beside = log.with_name(f".{log.name}.1")
    with log.open("r+b") as file:
        file.seek(-LIMIT, os.SEEK_END)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as older:
            older.write(file.read(LIMIT))
        beside.rename(log.with_name(f"{log.name}.1"))
        file.truncate(0)
