"""An uploaded archive becomes a tree."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cygnid.source.base import ArchiveSpec, SourceInvalid, SourceUnavailable, Tree

UNPACK = Path(__file__).with_name("unpack.py")


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
        self._limits = limits or ArchiveLimits()

    async def fetch(self, spec: ArchiveSpec, into: Path) -> Tree:
        try:
            into.mkdir(mode=0o755)
        except OSError as error:
            raise SourceUnavailable(f"The folder for the source could not be made: {error.strerror}") from error
        try:
            if self._uid is not None:
                os.chown(into, self._uid, self._uid)
            answer = await self._run(spec, into)
            return Tree(path=into, digest=answer["digest"], files=answer["files"], size_bytes=answer["size_bytes"])
        except BaseException:
            # Not in a thread: a cancelled task could no longer wait for it.
            shutil.rmtree(into, ignore_errors=True)
            raise

    async def _run(self, spec: ArchiveSpec, into: Path) -> Mapping[str, Any]:
        request = {
            "content_type": spec.content_type,
            "limits": asdict(self._limits),
            "uid": self._uid,
            "zstandard": _zstandard_folder(),
        }
        try:
            archive = spec.path.open("rb")
        except OSError as error:
            raise SourceUnavailable(f"The upload could not be read: {error.strerror}") from error
        with archive:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", str(UNPACK), json.dumps(request)),
                stdin=archive,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=into,
                env={},
            )
        try:
            out, err = await asyncio.wait_for(child.communicate(), self._limits.seconds * 2)
        except TimeoutError:
            raise self._too_slow() from None
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if child.returncode != 0:
            if child.returncode is not None and child.returncode < 0:
                raise self._too_slow()
            detail = err.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
            raise SourceUnavailable(f"The archive could not be unpacked: {detail[0]}")
        answer: dict[str, Any] = json.loads(out)
        if "error" in answer:
            raise SourceInvalid(answer["error"], member=answer["member"], hint=answer["hint"])
        if "unavailable" in answer:
            raise SourceUnavailable(f"The archive could not be unpacked: {answer['unavailable']}")
        return answer

    def _too_slow(self) -> SourceInvalid:
        return SourceInvalid(
            f"The archive took more than {self._limits.seconds} s to read.",
            hint="Leave out what can be built or downloaded: node_modules, .venv, build output.",
        )


def _zstandard_folder() -> str:
    spec = find_spec("zstandard")
    if spec is None or spec.origin is None:
        return ""
    return str(Path(spec.origin).parent.parent)
