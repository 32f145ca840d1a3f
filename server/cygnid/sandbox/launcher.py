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
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_CLONE3, _SYS_MOUNT_SETATTR = 428, 429, 435, 442  # of every architecture
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
_MOUNT_READ_ONLY, _MOUNT_NO_SUID, _MOUNT_NO_DEVICES, _MOUNT_MAPPED = 1, 2, 4, 0x100000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
_IOPRIO_WHO_PROCESS, _IOPRIO_IDLE = 1, 3 << 13
_NICE = 10
_OOM, _OOM_BACKGROUND = 500, 800
"""When the whole machine is short of memory, tenants go before the platform, and what nobody visits goes first."""
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
    lower: str | None
    """Folder that the sandbox sees as `uid`'s own."""
    background: bool
    """To give way to all others, as far as nice and ionice go."""


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
    if request["namespace"]:
        _check(_libc.setns(fds.pop(), _CLONE_NEWNET), "setns")
    if request["lower"] is not None and request["uid"] is not None:
        give(os.path.realpath(request["lower"]), request["uid"])
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(_OOM_BACKGROUND if request["background"] else _OOM))
    if request["background"]:
        give_way()
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


def give_way() -> None:
    """The disk's schedulers do not let the idle class starve, so nothing is lost for ever. Where the call is refused
    (by the filter of a container, say) or unknown here, the disk goes by the nice value (ioprio_set(2))."""
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    number = _SYS_IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        _libc.syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_IDLE)


class _MountAttributes(ctypes.Structure):
    """Of mount_setattr(2)."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns_fd")]


def give(folder: str, uid: int) -> None:
    """Show root's files in `folder` as `uid`'s, to this process and its children alone: an overlay over them can then
    be changed by `uid` anywhere, since the kernel copies up only what has an owner in the overlay's user namespace.
    Read-only, so that nothing but a copy is ever written. Linux ≥ 5.19."""
    users = _user_namespace(uid)
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    # not private: what the machine unmounts must not be held here for as long as the sandbox runs
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None), "mount")
    path = os.fsencode(folder)
    tree = _check(_libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, path, _OPEN_TREE_CLONE | os.O_CLOEXEC), "open_tree")
    flags = _MOUNT_READ_ONLY | _MOUNT_NO_SUID | _MOUNT_NO_DEVICES | _MOUNT_MAPPED
    attributes = _MountAttributes(set=flags, userns_fd=users)
    size = ctypes.sizeof(attributes)
    changed = _libc.syscall(_SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size)
    _check(changed, "mount_setattr")
    _check(_libc.syscall(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, path, _MOVE_MOUNT_F_EMPTY_PATH), "move_mount")
    os.close(tree)
    os.close(users)


def _user_namespace(uid: int) -> int:
    """A descriptor of one in which root is `uid`. It takes a process to make it, which ends at once."""
    made, making = os.pipe2(os.O_CLOEXEC)
    hold, held = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(held)
            _check(_libc.unshare(_CLONE_NEWUSER), "unshare")
            os.write(making, b"1")
            os.read(hold, 1)
        finally:
            os._exit(0)
    try:
        os.close(making)
        if not os.read(made, 1):
            raise OSError("no user namespace")
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
                file.write(f"0 {uid} 1")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for fd in (made, hold, held):
            os.close(fd)
        os.waitpid(pid, 0)


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


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
        pid = _check(_libc.syscall(_SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments)), "clone3")
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
