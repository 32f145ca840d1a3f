"""Child processes that cannot outlive us, as another uid where asked, in their own view of the file system.

Linux only: death signal, pidfd and mount namespaces.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cygnid.sandbox import uids

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000


class Child:
    """A running child, spawned by us or by the program we replaced by exec: both are reaped here, by pidfd."""

    def __init__(self, pid: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._process = process
        self._code: int | None = None

    @property
    def alive(self) -> bool:
        return self.poll() is None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self._code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 255 << 8
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
                if self._process:
                    self._process.returncode = self._code
        return self._code

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        """Its exit code, when it has ended."""
        if (code := self.poll()) is not None:
            return code
        await exited(self.pid)
        code = self.poll()
        assert code is not None, "the kernel said that it has ended"
        return code

    async def stop(self, number: signal.Signals, *, grace_seconds: float) -> int:
        """Ask it to end, wait, then kill it."""
        self.send(number)
        try:
            return await asyncio.wait_for(self.wait(), grace_seconds)
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await self.wait()


async def exited(pid: int) -> None:
    """Return when this process, child or not, has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(fd, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


@dataclass(frozen=True, kw_only=True)
class View:
    """What differs for the child: only root can give one (it needs a mount namespace).

    `replaced`: path → the file seen there instead. `shown`: folders that a foreign uid must be able to read although
    a parent of theirs is closed to it (a checkout under a 0700 home); of that parent nothing else is seen.
    """

    replaced: Mapping[str, Path] | None = None
    shown: Sequence[Path] = ()


def closed_parent(path: Path) -> Path | None:
    """The topmost parent that a foreign uid may not enter; None: the path is open to everybody."""
    for parent in reversed(path.parents):
        if not parent.stat().st_mode & 0o001:
            return parent
    return None


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    death_signal: signal.Signals,
    uid: int | None = None,
    view: View | None = None,
    cwd: Path | str = "/",
    stdout: IO[bytes] | int | None = None,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a program that gets `death_signal` when we die. `uid` also becomes its only group.

    Call it from the main thread: the kernel ties the death signal to the thread that spawned.
    Raises OSError or subprocess.SubprocessError when the program cannot be started.
    """
    parent = os.getpid()
    plan = _plan(view) if view else None

    def prepare() -> None:
        if plan:
            _enter(plan)
        if uid is not None:
            uids.drop(uid)
        uids.die_with_parent(death_signal)
        if os.getppid() != parent:
            os._exit(1)

    process = subprocess.Popen(
        [str(part) for part in argv],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT if stdout is not None else None,
        pass_fds=pass_fds,
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509 - the supervisor spawns from its main thread and runs no others
    )
    return Child(process.pid, process)


@dataclass(frozen=True)
class _Plan:
    covered: list[str]
    """Closed parents: an empty folder is put over each."""
    binds: list[tuple[str, str]]
    """(source, target)."""


def _plan(view: View) -> _Plan:
    covered: set[Path] = set()
    binds = [(str(source), target) for target, source in (view.replaced or {}).items()]
    for path in view.shown:
        if parent := closed_parent(path):
            covered.add(parent)
            binds.append((str(path), str(path)))
    return _Plan([str(path) for path in sorted(covered)], sorted(binds, key=lambda bind: bind[1]))


def _enter(plan: _Plan) -> None:
    os.umask(0o022)
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    # opened before anything is covered: the sources lie under what is about to be covered
    sources = [os.open(source, os.O_PATH) for source, _ in plan.binds]
    for path in plan.covered:
        _mount("tmpfs", path, "tmpfs", 0, "mode=0711,size=1m")
    for source, (_, target) in zip(sources, plan.binds, strict=True):
        if not os.path.lexists(target):
            os.makedirs(target, mode=0o755)
        _mount(f"/proc/self/fd/{source}", target, None, _MS_BIND | _MS_REC)
        os.close(source)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    answer = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    _check(answer, f"mount {target}")


def _check(answer: int, what: str) -> None:
    if answer != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
