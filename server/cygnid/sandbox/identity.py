"""Finding a process again: a pid alone may have been given to another one since."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@cache
def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat (proc(5)); None: no such process, or one that is dead but not yet reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the command's name is in parentheses and may itself hold any of them
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True, kw_only=True)
class Identity:
    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """Of a process that has already ended, one that is never alive."""
        ticks = start_ticks(pid)
        return cls(pid=pid, start_ticks=-1 if ticks is None else ticks, boot_id=boot_id())

    @property
    def alive(self) -> bool:
        return self.boot_id == boot_id() and start_ticks(self.pid) == self.start_ticks

    def open(self) -> int | None:
        """A pidfd of exactly this process, None when it is gone. The caller closes it."""
        if self.boot_id != boot_id():
            return None
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive:
            return pidfd
        os.close(pidfd)
        return None
