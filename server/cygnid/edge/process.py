"""Processes that outlive us: found again by pid, start time and boot id."""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """What a pid file names, as long as it is that process and no later one with the same pid."""

    pid: int
    start: str
    boot: str

    def alive(self) -> bool:
        return self.boot == _boot_id() and _start_time(self.pid) == self.start

    async def end(self, *, seconds: float) -> None:
        """SIGTERM, then SIGKILL when it is still there after `seconds`; returns when it has ended."""
        if self.signal(signal.SIGTERM) and not await self._ended_within(seconds):
            self.signal(signal.SIGKILL)
            await self._ended_within(seconds)

    def signal(self, number: signal.Signals) -> bool:
        """Send it; False when the process has ended."""
        fd = self._open()
        if fd is None:
            return False
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        return True

    async def _ended_within(self, seconds: float) -> bool:
        fd = self._open()
        if fd is None:
            return True
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(fd, ended.set)
        try:
            await asyncio.wait_for(ended.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(fd)
            os.close(fd)
        return True

    def _open(self) -> int | None:
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive():  # looked at while the descriptor holds the pid
            return fd
        os.close(fd)
        return None


def find(pid_file: Path) -> Process | None:
    """The living process that wrote this pid file, if any."""
    try:
        pid, start, boot = pid_file.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    process = Process(int(pid), start, boot)
    return process if process.alive() else None


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> str | None:
    """Clock ticks since boot, field 22 of proc(5)'s stat; None for a process that has ended, zombies too."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]
