"""What a supervisor leaves to the build that replaces it by exec: same pid, same children, same sockets."""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

_VARIABLE = "CYGNI_HANDOVER"


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    listener: int
    lock: int
    report: int
    """Descriptors: the API's listening socket, the lock of the data folder, whoever waits for the outcome."""
    apps_port: int
    postgres: int | None
    api: int
    worker: int
    leaving: list[int]
    """Pids."""


def replace(argv: list[str], env: Mapping[str, str], handover: Handover) -> None:
    """Become that program. Returns only by raising OSError: then nothing has changed."""
    for fd in (handover.listener, handover.lock, handover.report):
        os.set_inheritable(fd, True)
    os.execve(argv[0], argv, {**env, _VARIABLE: msgspec.json.encode(handover).decode()})


def received() -> Handover | None:
    """What the program before this one left; once."""
    text = os.environ.pop(_VARIABLE, None)
    if text is None:
        return None
    handover = msgspec.json.decode(text, type=Handover)
    for fd in (handover.listener, handover.lock, handover.report):
        os.set_inheritable(fd, False)
    return handover


def lock(run: Path) -> int | None:
    """The lock of a data folder, held as long as the descriptor is open; None: another supervisor has it."""
    fd = os.open(run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
