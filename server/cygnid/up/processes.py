"""How the API and the worker are started, and how the supervisor knows that they stand."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cygnid.core.postgres.child import Child, View, spawn
from cygnid.docs_site import DOCS

READY = b"ready\n"
_START_SECONDS = 60


class StartFailed(Exception):
    """A process ended, or said nothing, before it was ready."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """`cygnid <verb>` as a child of the supervisor."""

    name: str
    verb: str
    env: Mapping[str, str]
    uid: int | None
    """None: the supervisor's own."""
    listener: int | None = None

    def start(self, *, ready: int | None = None) -> Child:
        """`ready`: a pipe's end that the program writes READY to when it does its work."""
        argv = [sys.executable, "-m", "cygnid", self.verb]
        fds = [fd for fd in (self.listener, ready) if fd is not None]
        if self.listener is not None:
            argv += ["--fd", str(self.listener)]
        if ready is not None:
            argv += ["--ready-fd", str(ready)]
        return spawn(
            argv,
            env=self.env,
            death_signal=signal.SIGTERM,
            uid=self.uid,
            view=View(shown=code_folders()) if self.uid is not None else None,
            pass_fds=fds,
        )

    async def start_ready(self) -> Child:
        """Start it and return when it is ready. Raises StartFailed; nothing of it runs then."""
        reader, writer = os.pipe()
        try:
            child = self.start(ready=writer)
        finally:
            os.close(writer)
        try:
            said = await asyncio.wait_for(_read_all(reader), _START_SECONDS)
        except TimeoutError:
            said = b""
        if said == READY:
            return child
        code = await child.stop(signal.SIGTERM, grace_seconds=5)
        raise StartFailed(f"the {self.name} did not start (exit code {code}); its last lines in the log say why")


def say_ready(fd: int | None) -> None:
    """The program's side of `start_ready`."""
    if fd is not None:
        os.write(fd, READY)
        os.close(fd)


async def run_once(verb: str, *arguments: str, env: Mapping[str, str]) -> bytes:
    """`cygnid <verb>` to its end, and what it printed. A process of its own keeps the supervisor small.

    Raises StartFailed with what it said last when its exit code is not 0; all it said is in the log.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cygnid", verb, *arguments),
        env=env,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, errors = await process.communicate()
    sys.stderr.write(errors.decode(errors="replace"))
    sys.stderr.flush()
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise StartFailed(last or f"cygnid {verb} ended with exit code {process.returncode}")
    return said


def code_folders() -> list[Path]:
    """What this program reads: the interpreter's own installation, the environment, the checkout with its pages."""
    folders = {Path(path).resolve() for path in (sys.base_prefix, sys.prefix, *sys.path, DOCS) if path}
    folders = {path for path in folders if path.is_dir() and path != Path("/")}
    return sorted(path for path in folders if not any(parent in folders for parent in path.parents))


async def _read_all(fd: int) -> bytes:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb"))
    try:
        return await reader.read()
    finally:
        transport.close()
