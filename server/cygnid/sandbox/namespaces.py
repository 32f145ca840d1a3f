"""Network namespaces, which belong to a thread."""

import ctypes
import os

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def new_network() -> int:
    """Put the calling thread into a network of its own; answers a descriptor of it, which the caller closes."""
    _check(_libc.unshare(_CLONE_NEWNET), "unshare")
    return current_network()


def current_network() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def set_network(fd: int) -> None:
    _check(_libc.setns(fd, _CLONE_NEWNET), "setns")


def enter_network(pid: int) -> bool:
    """Put the calling thread into the network of a process; False: it has ended."""
    try:
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        set_network(fd)
    finally:
        os.close(fd)
    return True


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)
