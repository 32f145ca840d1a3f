"""Talking to the fork server. All of it blocks for a few milliseconds: call it from a thread."""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from cygnid.sandbox import launcher
from cygnid.sandbox.cgroups import Group
from cygnid.sandbox.spec import Limits

PATIENCE_SECONDS = 10.0
_NOFILE = 65536


class LaunchFailed(Exception):
    """The sandbox could not be made; the message is for people."""


class Starter:
    def __init__(self, bwrap: Path) -> None:
        self._bwrap = bwrap
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    def start(
        self,
        *,
        options: Sequence[str],
        argv: Sequence[str],
        uid: int | None,
        files: Sequence[bytes],
        output: tuple[int, int],
        stdin: int | None,
        inherited: Sequence[int],
        status: Path,
        group: Group | None,
        namespace: int | None,
        limits: Limits,
        lower: Path | None,
    ) -> "Started":
        """Returns when the sandbox's file system stands and its command is about to run.
        `inherited` and `files` become the descriptors that `options` counts on. Without a group, `limits` hold for each
        process, as resource limits. `lower` is a folder of root's that the sandbox sees as `uid`'s. Raises
        LaunchFailed."""
        if len(files) + len(inherited) + 8 > launcher.MAX_FDS:
            raise LaunchFailed(f"at most {launcher.MAX_FDS - 8} files can be given to a sandbox")
        with contextlib.ExitStack() as stack:
            info, info_end = os.pipe2(os.O_CLOEXEC)
            stack.callback(os.close, info)
            ready, ready_end = socket.socketpair()
            stack.enter_context(ready)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            request = launcher.Request(
                argv=[str(self._bwrap), "--args", "6", "--", *argv],
                uid=uid,
                tasks=[] if group is None else group.tasks,
                cgroup=None if group is None else group.unified,
                namespace=namespace is not None,
                rlimits=[
                    (resource.RLIMIT_CORE, 0),
                    (resource.RLIMIT_NOFILE, _NOFILE if hard == resource.RLIM_INFINITY else min(hard, _NOFILE)),
                ],
                lower=None if lower is None else str(lower),
                background=limits.background,
            )
            with contextlib.ExitStack() as ours:

                def closing(fd: int) -> int:
                    ours.callback(os.close, fd)
                    return fd

                ours.enter_context(ready_end)
                fds = [
                    closing(_memory(json.dumps(request).encode())),
                    closing(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)) if stdin is None else stdin,
                    *output,
                    closing(os.open(status, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)),
                    closing(info_end),
                    ready_end.fileno(),
                    closing(_memory(b"".join(os.fsencode(word) + b"\0" for word in options))),
                    *inherited,
                    *(closing(_memory(content)) for content in files),
                    *(() if namespace is None else (namespace,)),
                ]
                watcher, watcher_fd = self._ask(fds)
            try:
                init = _read_info(info)
                init_fd = os.pidfd_open(init)
            except (LaunchFailed, ProcessLookupError) as error:
                _end(watcher_fd)
                raise LaunchFailed(str(error)) from error
            started = Started(watcher=watcher, watcher_fd=watcher_fd, init=init, init_fd=init_fd)
            try:
                if group is None:
                    resource.prlimit(init, resource.RLIMIT_NPROC, (limits.pids, limits.pids))
                    memory = limits.memory_mb * 1024 * 1024
                    resource.prlimit(init, resource.RLIMIT_DATA, (memory, memory))
                _await_ready(ready)
            except (LaunchFailed, ProcessLookupError) as error:
                started.end()
                raise LaunchFailed(str(error)) from error
            return started

    def close(self) -> None:
        with self._lock:
            self._end_server()

    def _ask(self, fds: Sequence[int]) -> tuple[int, int]:
        with self._lock:
            message, back = b"", list[int]()
            for _ in range(2):  # it may have been killed since
                connection = self._connection or self._serve()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    socket.send_fds(connection, [b"\0"], fds)
                    message, back, _, _ = socket.recv_fds(connection, 4096, 1)
                if message:
                    break
                self._end_server()
        if not message:
            raise LaunchFailed("the process that makes sandboxes ends at once")
        reply: launcher.Reply = json.loads(message)
        if reply["pid"] is None:
            raise LaunchFailed(f"no new process: {reply['error']}")
        return reply["pid"], back[0]

    def _serve(self) -> socket.socket:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-I", "-S", launcher.__file__],
                stdin=theirs.fileno(),
                env={},
                cwd="/",
                start_new_session=True,
            )
        return self._connection

    def _end_server(self) -> None:
        """It ends by itself when the connection is closed."""
        if self._connection is not None:
            self._connection.close()
        if self._server is not None:
            self._server.wait()
        self._connection = self._server = None


class Started:
    """A sandbox whose command runs. Owns the two pidfds."""

    def __init__(self, *, watcher: int, watcher_fd: int, init: int, init_fd: int) -> None:
        self.watcher = watcher
        self.watcher_fd = watcher_fd
        self.init = init
        self.init_fd = init_fd

    def end(self) -> None:
        _end(self.init_fd)
        _end(self.watcher_fd)


def _end(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    select.select([pidfd], [], [], PATIENCE_SECONDS)
    os.close(pidfd)


def _memory(content: bytes) -> int:
    fd = os.memfd_create("cygni", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _read_info(fd: int) -> int:
    text = b""
    while select.select([fd], [], [], PATIENCE_SECONDS)[0]:
        part = os.read(fd, 4096)
        if not part:
            raise LaunchFailed("bubblewrap ended before it made the sandbox")
        text += part
        with contextlib.suppress(ValueError):
            info: Mapping[str, object] = json.loads(text)
            if "error" in info:
                raise LaunchFailed(str(info["error"]))
            return int(str(info["child-pid"]))
    raise LaunchFailed(f"bubblewrap made no sandbox within {PATIENCE_SECONDS:.0f} s")


def _await_ready(ready: socket.socket) -> None:
    """Bubblewrap reads one byte when the file system stands, and closes. Dead before, it leaves the byte unread, and
    a socket closed over unread data resets its peer (unix(7))."""
    ready.settimeout(PATIENCE_SECONDS)
    try:
        ready.sendall(b"\0")
        ready.recv(1)
    except TimeoutError as error:
        raise LaunchFailed(f"the sandbox's file system was not ready within {PATIENCE_SECONDS:.0f} s") from error
    except OSError as error:
        raise LaunchFailed("the sandbox's file system could not be made") from error
