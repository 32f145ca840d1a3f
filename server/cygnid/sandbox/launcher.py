"""The fork server: a small process of one thread that makes sandboxes. Run as a script, `python -I -S launcher.py`.

Forking is its whole job, because forking the worker itself (large, with threads) is slow and unsafe, and because what
comes between fork and exec (cgroups, network namespace, uid) must happen in the child. Requests arrive as datagrams on
standard input: one byte, and with it the file descriptors; the first is a memfd that holds the Request as JSON. It ends
when its starter does (end of file); the sandboxes it made live on.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
from types import FrameType
from typing import NoReturn, TypedDict

INFO_FD = 4
MAX_FDS = 240
_CLEAR_OF_TARGETS = 300
_CLONE_NEWNET, _CLONE_INTO_CGROUP, _CLONE_PIDFD = 0x40000000, 0x200000000, 0x1000
_SYS_CLONE3 = 435  # of every architecture
_libc = ctypes.CDLL(None, use_errno=True)


class Request(TypedDict):
    argv: list[str]
    uid: int | None
    tasks: list[str]
    """`tasks` files of version 1 groups to enter by. Entering by `cgroup.procs` takes a lock over all processes of the
    machine, which costs tens of milliseconds; one thread entering by itself does not."""
    cgroup: str | None
    """Folder of the version 2 group to be born in, for the same reason."""
    namespace: bool
    """The last file descriptor is a network namespace to enter."""
    rlimits: list[tuple[int, int]]


class Reply(TypedDict):
    """Comes with a pidfd when there is a pid."""

    pid: int | None
    error: str | None


def become(request: Request, fds: list[int]) -> NoReturn:
    """In the child: turn into the sandbox's first process. `fds` become 0, 1, 2, ...; all others are closed."""
    os.setsid()
    for sig in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(sig, signal.SIG_DFL)  # ignored by Python; what is ignored stays so over exec
    os.umask(0o022)
    os.chdir("/")
    for path in request["tasks"]:
        with open(path, "w", encoding="ascii") as file:
            file.write("0")
    if request["namespace"] and _libc.setns(fds.pop(), _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("500")  # when the whole machine is short of memory, tenants go before the platform
    for which, value in request["rlimits"]:
        resource.setrlimit(which, (value, value))
    uid = request["uid"]
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, _CLEAR_OF_TARGETS) for fd in fds]
    for target, fd in enumerate(moved):
        os.dup2(fd, target)
    os.closerange(len(moved), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.execve(request["argv"][0], request["argv"], {})


class _CloneArguments(ctypes.Structure):
    """Of clone3(2)."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls"),
            *("set_tid", "set_tid_size", "cgroup"),
        )
    ]


def fork(cgroup: str | None) -> tuple[int, int]:
    """(pid, pidfd) in the parent, (0, -1) in the child, which is born in the group (Linux ≥ 5.7)."""
    if cgroup is None:
        pid = os.fork()
        return pid, os.pidfd_open(pid) if pid else -1
    folder = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pidfd = ctypes.c_int(-1)
        arguments = _CloneArguments(
            flags=_CLONE_INTO_CGROUP | _CLONE_PIDFD,
            pidfd=ctypes.addressof(pidfd),
            exit_signal=signal.SIGCHLD,
            cgroup=folder,
        )
        pid = _libc.syscall(_SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
        if pid < 0:
            raise OSError(ctypes.get_errno(), f"clone3: {os.strerror(ctypes.get_errno())}")
        return pid, pidfd.value if pid else -1
    finally:
        os.close(folder)


def spawn(fds: list[int]) -> tuple[Reply, list[int]]:
    with os.fdopen(os.dup(fds[0]), "rb") as file:
        request: Request = json.load(file)
    try:
        pid, pidfd = fork(request["cgroup"])
    except OSError as error:
        return {"pid": None, "error": str(error)}, []
    if pid == 0:
        try:
            become(request, fds[1:])
        except BaseException as error:  # noqa: BLE001  whatever it is, the child must not go on as a second server
            with contextlib.suppress(OSError):
                os.write(fds[1 + INFO_FD], json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        finally:
            os._exit(126)
    return {"pid": pid, "error": None}, [pidfd]


def _wake(number: int, frame: FrameType | None) -> None:
    """Being called is enough: the wake-up descriptor is written."""


def serve(connection: socket.socket) -> None:
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _wake)
    while True:
        ready, _, _ = select.select([connection, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
        if connection in ready:
            message, fds, _, _ = socket.recv_fds(connection, 16, MAX_FDS)
            if not message:
                return
            reply, back = spawn(fds)
            for fd in fds:
                os.close(fd)
            socket.send_fds(connection, [json.dumps(reply).encode()], back)
            for fd in back:
                os.close(fd)


if __name__ == "__main__":
    serve(socket.socket(fileno=0))
