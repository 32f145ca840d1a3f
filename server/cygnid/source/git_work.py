"""Git at work in a folder of its own, in a sandbox, until its limits."""

import asyncio
import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from cygnid.sandbox.disk import used_bytes
from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.spec import Limits, Mount, SandboxSpec
from cygnid.sandbox.starter import LaunchFailed
from cygnid.source import git_command as command
from cygnid.source.base import GitRemote, SourceInvalid, SourceUnavailable


@dataclass(frozen=True, kw_only=True)
class GitLimits:
    seconds: float = 300.0
    """Of one fetch, or one question."""
    max_bytes: int = 2 << 30
    """What the repository may take on the disk while it is fetched."""
    memory_mb: int = 1024


@dataclass(frozen=True, kw_only=True)
class Said:
    code: int | None
    output: bytes
    errors: str


@dataclass(frozen=True, kw_only=True)
class Work:
    """One repository to fetch into, and git in it."""

    sandbox: Sandbox
    folder: Path
    target: command.Target
    url: str
    remote: GitRemote | None
    uid: int | None
    mounts: tuple[Mount, ...]
    limits: GitLimits
    ca_file: Path | None
    deadline: float

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o711, parents=True)
        git = self.folder / "work" / "git"
        for name in ("objects/pack", "refs", "info"):
            (git / name).mkdir(parents=True)
        (git / "HEAD").write_text("ref: refs/heads/none\n")
        (git / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
        (git / "info" / "attributes").write_text(command.ATTRIBUTES)
        (self.folder / "work" / "known_hosts").write_text(self.remote.known_hosts if self.remote else "")
        if self.uid is not None:
            for path in (self.folder / "work", *(self.folder / "work").rglob("*")):
                os.chown(path, self.uid, self.uid)

    def known_hosts(self) -> str:
        if self.remote is None or self.target.url.scheme != "ssh":
            return ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            fd = os.open(self.folder / "work" / "known_hosts", os.O_RDONLY | os.O_NOFOLLOW)
            with open(fd, encoding="utf-8") as file:
                return file.read(16384)
        return self.remote.known_hosts

    async def run(self, *argv: str, online: bool = False, output: str = "output", limit: int | None = None) -> Said:
        """Git with these words. Raises SourceUnavailable when it takes too long, SourceInvalid when it writes too
        much."""
        seconds = self.deadline - time.monotonic()
        folder = run_folder(self.folder)
        await asyncio.to_thread(_empty, folder)
        spec = SandboxSpec(
            name=sandbox_name(self.folder.name),
            folder=folder,
            argv=argv if limit is None else command.limited(argv, limit),
            env=command.environment(self.target, self.remote if online else None),
            cwd=command.WORK,
            uid=self.uid,
            limits=Limits(
                cpu=1,
                memory_mb=self.limits.memory_mb,
                pids=64,
                disk_mb=self.limits.max_bytes >> 20,
                seconds=max(seconds, 0.1),
            ),
            mounts=(Mount(source=self.folder / "work", target=command.WORK, writable=True), *self.mounts),
            files=self._files(online=online),
            network="host" if online and self.target.addresses else "none",
            stdout=folder / output,
            stderr=folder / "errors",
        )
        try:
            finished = await self.sandbox.run(spec)
        except LaunchFailed as error:
            raise SourceUnavailable(f"Git could not be started: {error}", hint="See `cygnid doctor`.") from error
        if finished.timed_out:
            raise SourceUnavailable(
                f"The repository could not be fetched within {self.limits.seconds:g} s.",
                hint="Try again; CYGNI_GIT_TIMEOUT_SECONDS is the limit.",
            )
        if finished.disk_exceeded or await self._used() > self.limits.max_bytes:
            raise SourceInvalid(
                f"The repository takes more than {self.limits.max_bytes >> 20} MiB to fetch.",
                hint="Keep large files elsewhere; CYGNI_GIT_MAX_BYTES is the limit.",
            )
        if finished.ended.out_of_memory:
            raise SourceInvalid(f"Git needs more than {self.limits.memory_mb} MB of memory for this repository.")
        said = b"" if output != "output" else await asyncio.to_thread((folder / output).read_bytes)
        errors = await asyncio.to_thread(_tail, folder / "errors")
        return Said(code=finished.ended.code, output=said, errors=errors)

    async def _used(self) -> int:
        """Who is faster than the sweep of the sandbox is measured at the end."""
        return await asyncio.to_thread(used_bytes, [str(self.folder / "work")])

    def _files(self, *, online: bool) -> dict[str, bytes]:
        ca_file = None if self.ca_file is None else f"{command.RUN}/ca.pem"
        files = {command.CONFIG: command.config(self.target, self.remote, ca_file=ca_file)}
        if self.ca_file is not None and online:
            files[f"{command.RUN}/ca.pem"] = self.ca_file.read_bytes()
        if online and self.remote is not None and self.remote.ssh_key is not None:
            files[command.KEY] = self.remote.ssh_key.encode()
        return files


def sandbox_name(folder: str) -> str:
    """Of its sandbox."""
    return f"git.{folder}"


def run_folder(folder: Path) -> Path:
    """What the sandbox of one command keeps, and what that command says."""
    return folder / "run"


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o711)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16384))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
