"""What is kept of a sandbox in its folder, so that another process can find it again and tell how it ended.

`sandbox.json` is written once, when the sandbox is made (no environment in it); bubblewrap appends to `status.json`;
`ended.json` is written once, by whoever sees the end.
"""

import contextlib
import json
import logging
import os
import secrets
import signal
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from cygnid.sandbox.cgroups import Group
from cygnid.sandbox.identity import Identity

log = logging.getLogger("cygnid.sandbox")
RECORD, STATUS, ENDED = "sandbox.json", "status.json", "ended.json"


@dataclass(frozen=True, kw_only=True)
class Ended:
    at: datetime
    code: int | None
    """None: a signal ended it, or nobody can tell (the machine was restarted)."""
    signal: str | None
    out_of_memory: bool


@dataclass(frozen=True, kw_only=True)
class Record:
    name: str
    started_at: str
    watcher: Identity
    """bubblewrap outside of the sandbox; it writes the exit code and ends."""
    init: Identity
    """The first process inside: with it the kernel ends everything in there, and it leads the app's process group."""
    host: str | None
    """Address in a network of its own; None: the machine's."""
    disk_mb: int | None
    written: tuple[str, ...]
    """Folders whose sum is held to `disk_mb`."""
    stderr: str
    background: bool
    """As `Limits` says: its control group is among those."""

    def save(self, folder: Path) -> None:
        _write(folder / RECORD, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "Record | None":
        try:
            data = json.loads((folder / RECORD).read_bytes())
        except FileNotFoundError:
            return None
        return cls(
            name=data["name"],
            started_at=data["started_at"],
            watcher=Identity(**data["watcher"]),
            init=Identity(**data["init"]),
            host=data["host"],
            disk_mb=data["disk_mb"],
            written=tuple(data["written"]),
            stderr=data["stderr"],
            background=data.get("background", False),  # not in what was made by an older version
        )


def decode(status: int) -> tuple[int | None, str | None]:
    """(code, signal) of a shell's status: 128 + n is signal n (POSIX.1-2017, 2.8.2)."""
    if status > 128:
        try:
            return None, signal.Signals(status - 128).name
        except ValueError:
            return status, None
    return status, None


def read_ended(folder: Path) -> Ended | None:
    try:
        data = json.loads((folder / ENDED).read_bytes())
    except FileNotFoundError:
        return None
    return Ended(
        at=datetime.fromisoformat(data["at"]),
        code=data["code"],
        signal=data["signal"],
        out_of_memory=data["out_of_memory"],
    )


def write_ended(folder: Path, group: Group | None, *, rebooted: bool) -> Ended:
    """To be called when nothing of the sandbox runs any more and its group still counts. The first answer stays; one
    that a full disk does not take is told all the same, and found out anew by who asks next."""
    if (ended := read_ended(folder)) is not None:
        return ended
    status, at = _status(folder)
    code, name = (None, None if rebooted else signal.SIGKILL.name) if status is None else decode(status)
    oom = group is not None and name == signal.SIGKILL.name and group.out_of_memory_kills() > 0
    ended = Ended(at=at, code=code, signal=name, out_of_memory=oom)
    try:
        _write(folder / ENDED, {**asdict(ended), "at": ended.at.isoformat()}, replace=False)
    except FileExistsError:
        return read_ended(folder) or ended
    except FileNotFoundError:  # the folder is gone: another process saw the end and was done with it
        pass
    except OSError as error:
        log.warning("how the sandbox in %s ended could not be written: %s", folder, error)
    return ended


def _status(folder: Path) -> tuple[int | None, datetime]:
    """The exit status that bubblewrap wrote, and when; it writes none when it was itself killed."""
    try:
        with (folder / STATUS).open("rb") as file:
            lines = file.read().splitlines()
            written_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    except FileNotFoundError:
        return None, datetime.now(UTC)
    for line in reversed(lines):
        with contextlib.suppress(ValueError):  # of a line that a full disk cut
            if (status := json.loads(line).get("exit-code")) is not None:
                return status, written_at
    return None, datetime.now(UTC)


def _write(path: Path, data: dict[str, object], *, replace: bool = True) -> None:
    """Whole or not at all. Raises FileExistsError unless it may replace."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    beside.write_text(json.dumps(data), encoding="ascii")
    if replace:
        beside.replace(path)
        return
    try:
        path.hardlink_to(beside)
    finally:
        beside.unlink(missing_ok=True)
