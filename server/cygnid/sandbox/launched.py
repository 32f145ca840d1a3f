"""A sandbox that was made: watched to its end, whoever made it."""

import asyncio
import contextlib
import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cygnid.sandbox.cgroups import Group, Usage
from cygnid.sandbox.disk import remove_tree, used_bytes
from cygnid.sandbox.identity import Identity, boot_id
from cygnid.sandbox.record import Ended, Record, write_ended

log = logging.getLogger("cygnid.sandbox")
_SWEEP_SECONDS = 1.0
_SWEEP_SHARE = 20
"""A sweep that took t seconds is followed by 20 t of rest, so a big folder costs at most a twentieth of a core."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    ended: Ended
    timed_out: bool
    disk_exceeded: bool
    output_dropped: int
    """Bytes past `output_bytes`."""


class Launched:
    def __init__(self, *, record: Record, folder: Path, group: Group | None) -> None:
        self.record = record
        self.folder = folder
        self.disk_exceeded = False
        self._group = group
        self._end: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._settling = False

    @property
    def started_at(self) -> datetime:
        return datetime.fromisoformat(self.record.started_at)

    @property
    def host(self) -> str | None:
        """Its own address; None: it is in the machine's network."""
        return self.record.host

    @property
    def ended(self) -> Ended | None:
        return self._end.result() if self._end.done() else None

    async def wait(self) -> Ended:
        """Its end; by then nothing of it runs and its control group and overlay are gone."""
        return await asyncio.shield(self._end)

    async def stop(self, *, grace_seconds: float) -> Ended:
        """SIGTERM to the command's process group, grace, then SIGKILL to all of it."""
        if self.record.init.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.record.init.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_seconds):
                return await self.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> Ended:
        if not self._end.done():
            await asyncio.to_thread(self._kill)
        return await self.wait()

    def usage(self) -> Usage:
        if self._group is not None:
            return self._group.usage()
        return _usage_of_tree(self.record.init)

    def watch(self, fds: tuple[int, int] | None, on_end: Callable[[], object]) -> None:
        """`fds`: pidfds of watcher and init, owned from here on; None: look for the processes."""
        self._task = asyncio.create_task(self._watch(fds, on_end), name=f"watch {self.record.name}")

    async def release(self) -> None:
        """Stop watching; the sandbox goes on."""
        if self._task is None:
            return
        if not self._settling:
            self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._end.cancel()

    async def _watch(self, fds: tuple[int, int] | None, on_end: Callable[[], object]) -> None:
        opened = [self.record.watcher.open(), self.record.init.open()] if fds is None else list(fds)
        sweep = None
        if self.record.disk_mb is not None:
            sweep = asyncio.create_task(self._sweep(self.record.disk_mb))
        try:
            if opened[0] is not None:
                await readable(opened[0])
            self._settling = True
            ended = await asyncio.to_thread(self._settle, opened[1])
            self._end.set_result(ended)
        except Exception as error:  # noqa: BLE001  whoever waits must learn of it
            self._end.set_exception(error)
        finally:
            if sweep is not None:
                sweep.cancel()
            for fd in opened:
                if fd is not None:
                    os.close(fd)
            on_end()

    def _kill(self) -> None:
        for identity in (self.record.init, self.record.watcher):
            if (fd := identity.open()) is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                os.close(fd)

    def _say(self, line: str) -> None:
        with Path(self.record.stderr).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def _settle(self, init_fd: int | None) -> Ended:
        """End what is left (daemons outlive the command), then keep how it ended and clear up."""
        if self._group is not None:
            self._group.kill()
        if init_fd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(init_fd, signal.SIGKILL)
            select.select([init_fd], [], [])
        ended = write_ended(self.folder, self._group, rebooted=self.record.watcher.boot_id != boot_id())
        if self._group is not None:
            self._group.remove()
        try:
            remove_tree(self.folder / "overlay")
        except (OSError, subprocess.CalledProcessError):
            # its end must be known all the same; whoever deletes its folder tries again
            log.exception("%s has ended, and its overlay could not be removed", self.record.name)
        return ended

    async def _sweep(self, disk_mb: int) -> None:
        pause = _SWEEP_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            used = await asyncio.to_thread(used_bytes, self.record.written)
            if used > disk_mb * 1024 * 1024:
                self.disk_exceeded = True
                with contextlib.suppress(OSError):  # it may have filled the disk
                    await asyncio.to_thread(self._say, f"[ended: it wrote more than {disk_mb} MB]")
                await asyncio.to_thread(self._kill)
                return
            pause = max(_SWEEP_SECONDS, _SWEEP_SHARE * (time.monotonic() - began))


async def readable(fd: int) -> None:
    """A pidfd becomes readable when its process has ended (pidfd_open(2))."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(fd, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(fd)


def _usage_of_tree(init: Identity) -> Usage:
    """The sum over the processes that live, where no control group counts for us."""
    ticks = pages = 0
    pending = [init.pid] if init.alive else []
    while pending:
        pid = pending.pop()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            fields = stat[stat.rindex(")") + 2 :].split()
            ticks += sum(int(value) for value in fields[11:15])
            pages += int(fields[21])
            for task in Path(f"/proc/{pid}/task").iterdir():
                pending += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
    return Usage(cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"), memory_bytes=pages * os.sysconf("SC_PAGE_SIZE"))
