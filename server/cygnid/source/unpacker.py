"""The fork server that unpacks: a small process of one thread, with everything imported that reading an archive takes.

Starting Python and importing that takes several times as long as unpacking a usual upload; a child forked for each
archive has it already. Requests arrive as datagrams on standard input: the Request as JSON, and with it the archive,
the empty target folder and a stream socket for the answer. There the child writes its Answer, a line of JSON, and this
process, when the child has ended, a line with its exit code or the negative signal that ended it. Whoever shuts the
other end of that socket kills the child; the end of standard input kills all.
"""

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import socket
import sys
from types import FrameType
from typing import NoReturn

from cygnid.source import unpack

MAX_REQUEST_BYTES = 1 << 16
_FDS = 3
_MAX_FD = 1 << 16
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def main() -> None:
    # a child, shut into the target folder, can import nothing
    for module in ("encodings.cp437", "gzip", "tarfile", "zipfile", "zstandard"):
        importlib.import_module(module)
    serve(socket.socket(fileno=0))


def serve(connection: socket.socket) -> None:
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _wake)
    running: dict[int, socket.socket] = {}
    """pid → where its answer goes; until the child is reaped the pid is nobody else's."""
    unwanted: set[int] = set()
    while True:
        answers = {answer: pid for pid, answer in running.items() if pid not in unwanted}
        ready, _, _ = select.select([connection, woken, *answers], [], [])
        for answer in ready:
            if answer in answers:
                os.kill(answers[answer], signal.SIGKILL)
                unwanted.add(answers[answer])
        if woken in ready:
            os.read(woken, 4096)
            unwanted -= _reap(running)
        if connection in ready:
            message, fds, _, _ = socket.recv_fds(connection, MAX_REQUEST_BYTES, _FDS)
            if not message:
                break
            archive, into, end = fds
            answer = socket.socket(fileno=end)
            try:
                pid = os.fork()
            except OSError as error:
                _say(answer, f"{json.dumps(unpack.unavailable(error))}\n0\n")
                answer.close()
            else:
                if pid == 0:
                    _child(json.loads(message), archive, into, end)
                running[pid] = answer
            os.close(archive)
            os.close(into)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _child(request: unpack.Request, archive: int, into: int, answer: int) -> NoReturn:
    """Everything else that is open is closed: what a hostile archive makes of a decoder must not reach it."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        server = os.getppid()
        os.fchdir(into)
        os.dup2(archive, 0)
        os.dup2(answer, 1)
        os.closerange(3, _MAX_FD)
        sys.meta_path.clear()  # the paths of our modules are soon paths inside of what the archive wrote
        unpack.confine(request)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # here, since giving up root takes it back
        if os.getppid() == server:
            os.write(1, json.dumps(unpack.unpack(request)).encode() + b"\n")
            os._exit(0)
    except OSError as error:
        os.write(1, json.dumps(unpack.unavailable(error)).encode() + b"\n")
    finally:
        os._exit(1)


def _reap(running: dict[int, socket.socket]) -> set[int]:
    ended: set[int] = set()
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = found
            answer = running.pop(pid)
            _say(answer, f"{os.waitstatus_to_exitcode(status)}\n")
            answer.close()
            ended.add(pid)
    return ended


def _say(answer: socket.socket, line: str) -> None:
    with contextlib.suppress(OSError):  # nobody may want to know any more
        answer.send(line.encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def _wake(number: int, frame: FrameType | None) -> None:
    """Being called is enough: the wake-up descriptor is written."""
