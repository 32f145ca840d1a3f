"""Output with a ceiling: what a command prints goes through a pipe into its files, without the middle when it is too
much: the end says why a command failed."""

import asyncio
import os
from pathlib import Path

_CHUNK = 65536
_TAIL = 256 << 10
"""At most; half of the limit where that is less."""


def open_output(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


class CappedOutput:
    """Standard output and error together; one pipe for each file."""

    def __init__(self, limit: int, stdout: Path, stderr: Path) -> None:
        self._tail = min(limit // 2, _TAIL)
        self._left = limit - self._tail
        self._tails: dict[int, bytearray] = {}
        self._cut: dict[int, int] = {}
        self.dropped = 0
        self._loop = asyncio.get_running_loop()
        self._open: dict[int, int] = {}
        self._finished = asyncio.Event()
        ends: dict[Path, int] = {}
        for path in dict.fromkeys((stdout, stderr)):
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(read, False)
            self._open[read] = open_output(path)
            ends[path] = write
            self._loop.add_reader(read, self._copy, read)
        self._fds = (ends[stdout], ends[stderr])

    def take(self) -> tuple[int, int]:
        """The ends to write to, as standard output and error; the taker closes them."""
        return self._fds

    async def finish(self) -> None:
        """Wait for the rest. Everything that held the pipes must have ended."""
        if self._open:
            await self._finished.wait()

    def _copy(self, read: int) -> None:
        try:
            data = os.read(read, _CHUNK)
        except BlockingIOError:
            return
        file = self._open[read]
        if data:
            kept = data[: self._left]
            self._left -= len(kept)
            _write_all(file, kept)
            if len(kept) < len(data):
                self._hold(read, data[len(kept) :])
            return
        self._write_tail(read)
        self._loop.remove_reader(read)
        os.close(read)
        os.close(self._open.pop(read))
        if not self._open:
            self._finished.set()

    def _hold(self, read: int, data: bytes) -> None:
        tail = self._tails.setdefault(read, bytearray())
        tail += data
        surplus = max(len(tail) - self._tail, 0)
        del tail[:surplus]
        if surplus:
            self.dropped += surplus
            self._cut[read] = self._cut.get(read, 0) + surplus

    def _write_tail(self, read: int) -> None:
        if (cut := self._cut.get(read)) is not None:
            _write_all(self._open[read], f"\n[{cut} bytes of output are left out here]\n".encode())
        _write_all(self._open[read], bytes(self._tails.pop(read, b"")))


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
