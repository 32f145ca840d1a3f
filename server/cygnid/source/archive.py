"""An uploaded archive becomes a tree."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import zstandard

from cygnid.source import unpack
from cygnid.source.base import ArchiveSpec, SourceInvalid, SourceUnavailable, Tree

_START = "import sys; sys.path += sys.argv[1:]; from cygnid.source.unpacker import main; main()"
_PATHS = [str(Path(__file__).parents[2]), str(Path(zstandard.__file__).parents[1])]
_SLOW = (signal.SIGXCPU, signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    max_entries: int = 50_000
    max_bytes: int = 1 << 30
    """Of all files, unpacked."""
    max_ratio: int = 100
    """Unpacked to packed size; ordinary source is below 20, a bomb is above 1000."""
    ratio_free_bytes: int = 32 << 20
    """Below this unpacked size the ratio does not matter."""
    max_path_bytes: int = 1024
    max_depth: int = 64
    memory_bytes: int = 512 << 20
    seconds: int = 60
    """CPU time; twice that by the clock."""


class ArchiveSource:
    """Unpacks in a child process under limits, which as root is also shut into the new folder and, given a `uid`,
    gives up root before it reads the first byte. See `unpack.py` for what is refused."""

    def __init__(self, *, uid: int | None = None, limits: ArchiveLimits | None = None) -> None:
        self._uid = uid if os.getuid() == 0 else None
        self.limits = limits or ArchiveLimits()
        self._unpacker = _Unpacker()
        weakref.finalize(self, self._unpacker.close)

    async def fetch(self, spec: ArchiveSpec, into: Path) -> Tree:
        try:
            into.mkdir(mode=0o755)
        except OSError as error:
            raise SourceUnavailable(f"The folder for the source could not be made: {error.strerror}") from error
        try:
            if self._uid is not None:
                os.chown(into, self._uid, self._uid)
            answer = self._judge(await self._run(spec, into))
            return Tree(path=into, digest=answer["digest"], files=answer["files"], size_bytes=answer["size_bytes"])
        except BaseException:
            # Not in a thread: a cancelled task could no longer wait for it.
            shutil.rmtree(into, ignore_errors=True)
            raise

    async def _run(self, spec: ArchiveSpec, into: Path) -> bytes:
        """What child and server wrote; when it is there the child has ended."""
        request: unpack.Request = {
            "content_type": spec.content_type,
            "limits": asdict(self.limits),
            "uid": self._uid,
        }
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                archive = spec.path.open("rb")
            except OSError as error:
                writer.close()
                raise SourceUnavailable(f"The upload could not be read: {error.strerror}") from error
            folder = os.open(into, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with archive:
                    self._unpacker.ask(request, [archive.fileno(), folder, theirs.fileno()])
            finally:
                os.close(folder)
        reading = asyncio.ensure_future(reader.read())
        try:
            return await asyncio.wait_for(asyncio.shield(reading), self.limits.seconds * 2)
        except TimeoutError:
            raise self._too_slow() from None
        finally:
            if not reading.done():
                writer.write_eof()
                await asyncio.wait([reading])
            writer.close()

    def _judge(self, said: bytes) -> unpack.Answer:
        """The answer of a tree. Raises SourceInvalid, SourceUnavailable."""
        *lines, last = said.splitlines() or [b""]
        code = int(last) if last.strip(b"-").isdigit() else None
        if code is None:
            raise SourceUnavailable("The archive could not be unpacked: the process that unpacks was ended.")
        if -code in _SLOW:
            raise self._too_slow()
        if not lines:
            raise SourceInvalid("The archive cannot be read.", hint=f"Reading it ended with code {code}.")
        answer: unpack.Answer = json.loads(lines[0])
        if "error" in answer:
            raise SourceInvalid(answer["error"], member=answer["member"], hint=answer["hint"])
        if "unavailable" in answer:
            raise SourceUnavailable(f"The archive could not be unpacked: {answer['unavailable']}")
        return answer

    def _too_slow(self) -> SourceInvalid:
        return SourceInvalid(
            f"The archive took more than {self.limits.seconds} s to read.",
            hint="Leave out what can be built or downloaded: node_modules, .venv, build output.",
        )


class _Unpacker:
    """The fork server `unpacker.py`, started when it is first needed."""

    def __init__(self) -> None:
        self._connection: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def ask(self, request: unpack.Request, fds: Sequence[int]) -> None:
        """Raises SourceUnavailable."""
        message = json.dumps(request).encode()
        for _ in range(2):  # it may have been killed since
            connection = self._connection or self._start()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                socket.send_fds(connection, [message], fds)
                return
            self.close()
        raise SourceUnavailable("The archive could not be unpacked: the process that unpacks ends at once.")

    def close(self) -> None:
        """It ends by itself when the connection is closed."""
        if self._connection is not None:
            self._connection.close()
        if self._server is not None:
            self._server.wait()
        self._connection = self._server = None

    def _start(self) -> socket.socket:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, *_PATHS],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        return self._connection
