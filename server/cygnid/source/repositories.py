"""The repositories that people push to: one bare one a project, touched by git in a sandbox alone."""

import asyncio
import contextlib
import fcntl
import itertools
import logging
import os
import re
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cygnid.sandbox.disk import remove_tree, used_bytes
from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.launched import Launched
from cygnid.sandbox.record import Ended
from cygnid.sandbox.starter import LaunchFailed
from cygnid.source import repository_spec as spec
from cygnid.source.base import SourceUnavailable
from cygnid.source.repository_base import RepositoryCommit, RepositoryFull
from cygnid.source.repository_spec import RepositoryLimits

log = logging.getLogger("cygnid.repositories")
_ID = re.compile(r"proj_[0-9a-z]{26}")
_SHA = re.compile(r"[0-9a-f]{40}")
_MESSAGE_CHARACTERS = 500
_OUTPUT_BYTES = 1 << 20
_SECONDS, _GRACE_SECONDS, _ABANDONED_SECONDS = 60.0, 3.0, 86400.0
_ATTRIBUTES = "* -export-ignore -export-subst\n"
"""`git archive` gives exactly what was committed; these come before what the tree's own .gitattributes say."""


class Repositories:
    """`folder`: `<project id>.git` below it; others may pass through it. `uid`: whose they are; None: our own.
    `runs`: where commands keep what they are known by."""

    def __init__(
        self, *, folder: Path, runs: Path, sandbox: Sandbox, uid: int | None, limits: RepositoryLimits | None = None
    ) -> None:
        self._folder, self._runs, self._sandbox = folder, runs, sandbox
        self._uid = uid if os.geteuid() == 0 else None
        self.limits = limits or RepositoryLimits()
        self._hooks = runs / "hooks"
        self._own = runs / f"of-{os.getpid()}-{secrets.token_hex(4)}"
        self._lock: int | None = None
        self._numbers = itertools.count(1)
        self._pushes = Counter[Path]()

    async def prepare(self) -> None:
        """Make the folders, and clear up after those of us that were killed. Call it once, before anything else."""
        for folder in (self._folder, self._runs, self._hooks, self._own):
            folder.mkdir(exist_ok=True)
            if os.geteuid() == 0:
                os.chown(folder, 0, 0)
            folder.chmod(0o711 if folder is not self._hooks else 0o755)
        for name in spec.HOOK_NAMES:
            part = self._hooks / f"{name}.{os.getpid()}"
            part.write_text(spec.HOOK)
            part.chmod(0o755)
            part.rename(self._hooks / name)
        self._lock = os.open(self._own / "lock", os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        for folder in self._runs.glob("of-*"):
            if folder != self._own:
                await self._clear(folder)

    async def close(self) -> None:
        """What runs goes on."""
        if self._lock is not None:
            os.close(self._lock)
            if not any(path.is_dir() for path in self._own.iterdir()):
                await asyncio.to_thread(shutil.rmtree, self._own)

    async def begin(
        self,
        project_id: str,
        variables: Mapping[str, str],
        *,
        writes: bool,
        body: int,
        answer: int,
        hook: int | None,
    ) -> "Running":
        """Answer one HTTP request by `git http-backend`: it reads `body`, writes to `answer`, and what hooks have to
        say goes through `hook`; all stay the caller's to close. The repository is made when there is none yet. Raises
        RepositoryFull, SourceUnavailable."""
        repository = await self.ensure(project_id)
        room = self.limits.push_bytes
        if writes:
            used = await asyncio.to_thread(used_bytes, [str(repository)])
            room = min(room, self.limits.repository_bytes - used)
            if room <= 0:
                raise RepositoryFull
        running = await self._launch(
            repository,
            ["git", "http-backend"],
            env=spec.environment(push_bytes=room, extra=variables),
            writes=writes,
            seconds=self.limits.seconds,
            stdin=body,
            stdout=answer,
            inherited=() if hook is None else (hook,),
        )
        if writes:
            self._pushes[repository] += 1
            running.afterwards = lambda: self._pushed(repository)
        return running

    async def ensure(self, project_id: str) -> Path:
        """The project's repository, made when there is none yet."""
        repository = self.path(project_id)
        if not repository.exists():
            await asyncio.to_thread(self._make, repository)
        return repository

    def path(self, project_id: str) -> Path:
        if not _ID.fullmatch(project_id):
            raise ValueError(f"{project_id!r} names no repository")
        return self._folder / f"{project_id}.git"

    async def head(self, project_id: str, ref: str) -> str | None:
        """What a ref points to; None: there is none."""
        said = await self._git(project_id, "for-each-ref", "--format=%(objectname)", "--count=1", "--", ref)
        return None if said is None else said.decode().strip() or None

    async def commit(self, project_id: str, sha: str) -> RepositoryCommit | None:
        """The commit, also of a tag's object; None: the repository has none."""
        if not _SHA.fullmatch(sha):
            return None
        form = "--format=%H%x00%an%x00%ae%x00%cI%x00%B"
        said = await self._git(project_id, "log", "-1", "--no-show-signature", form, f"{sha}^{{commit}}", "--")
        if said is None:
            return None
        full, name, email, at, message = said.decode("utf-8", "replace").split("\0", 4)
        return RepositoryCommit(
            sha=full,
            message=message.strip()[:_MESSAGE_CHARACTERS],
            author_name=name,
            author_email=email,
            committed_at=at,
        )

    async def collect(self, project_id: str) -> None:
        """`git gc --auto`, within limits: what it does not end, it begins again after a later push. What pushes that
        were killed have left is removed first."""
        await asyncio.to_thread(_sweep, self.path(project_id), older_than=_ABANDONED_SECONDS)
        await self._git(
            project_id, "-c", "gc.auto=2000", "-c", "gc.pruneExpire=30.days", "gc", "--auto", "--quiet",
            writes=True, seconds=self.limits.collect_seconds,
        )  # fmt: skip

    async def remove(self, project_id: str) -> None:
        """All of it. Idempotent."""
        await asyncio.to_thread(remove_tree, self.path(project_id))

    async def _git(
        self, project_id: str, *argv: str, output: int | None = None, writes: bool = False, seconds: float = _SECONDS
    ) -> bytes | None:
        """Standard output of a git command, unless it went to `output`; None when it failed, or there is no
        repository."""
        repository = self.path(project_id)
        if not repository.exists():
            return None
        with tempfile.TemporaryFile(dir=self._own) as file:
            running = await self._launch(
                repository,
                ["git", *argv],
                env=spec.environment(push_bytes=1, extra={"GIT_DIR": spec.REPOSITORY}),
                writes=writes,
                seconds=seconds,
                stdin=None,
                stdout=file.fileno() if output is None else output,
            )
            try:
                ended = await running.wait()
            finally:
                await running.close()
            if ended.code != 0:
                log.info("git %s in %s ended with %s: %s", argv[0], project_id, ended.code, running.said)
                return None
            return os.pread(file.fileno(), _OUTPUT_BYTES, 0)

    async def _launch(
        self,
        repository: Path,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        writes: bool,
        seconds: float,
        stdin: int | None,
        stdout: int,
        inherited: Sequence[int] = (),
    ) -> "Running":
        name = f"git-{self._own.name[3:]}-{next(self._numbers)}"
        folder = self._own / name
        folder.mkdir(mode=0o711)
        described = spec.sandbox(
            argv,
            name=name,
            folder=folder,
            repository=repository,
            hooks=self._hooks,
            uid=self._uid,
            env=env,
            limits=self.limits,
            writable=writes,
            inherited=len(inherited),
        )
        try:
            launched = await self._sandbox.launch(described, stdin=stdin, stdout=stdout, inherited=inherited)
        except LaunchFailed as error:
            await asyncio.to_thread(remove_tree, folder)
            raise SourceUnavailable(f"git could not be started: {error}") from error
        return Running(launched, folder, seconds=seconds)

    def _pushed(self, repository: Path) -> None:
        """Git that was killed leaves what it had received by halves; what others receive meanwhile stays."""
        self._pushes[repository] -= 1
        if not self._pushes[repository]:
            del self._pushes[repository]
            _sweep(repository, older_than=0)

    def _make(self, repository: Path) -> None:
        """Complete when it has its name: two at once make one."""
        with tempfile.TemporaryDirectory(dir=self._runs, prefix="new-") as made:
            new = Path(made) / "repository.git"
            for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
                (new / name).mkdir(parents=True)
            (new / "HEAD").write_text("ref: refs/heads/main\n")
            (new / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n")
            (new / "info" / "attributes").write_text(_ATTRIBUTES)
            if self._uid is not None:
                ours = (new / "config", new / "info", new / "info" / "attributes")
                for path in (new, *new.rglob("*")):
                    if path not in ours:
                        os.chown(path, self._uid, self._uid)
            new.chmod(0o700)
            with contextlib.suppress(OSError):  # another was faster
                new.rename(repository)

    async def _clear(self, folder: Path) -> None:
        """After one of us that has ended: what it began is told to end, and what it left is removed."""
        try:
            lock = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        finally:
            os.close(lock)
        for run in folder.iterdir():
            if run.is_dir():
                await self._sandbox.kill(run.name, run)
        await asyncio.to_thread(remove_tree, folder)


class Running:
    """A git command until it ends."""

    def __init__(self, launched: Launched, folder: Path, *, seconds: float) -> None:
        self._launched, self._folder, self._seconds = launched, folder, seconds
        self.said = ""
        """What it wrote to standard error last, once it has ended."""
        self.afterwards: Callable[[], None] = lambda: None

    async def wait(self) -> Ended:
        """Its end; it is killed when it takes too long."""
        try:
            async with asyncio.timeout(self._seconds):
                ended = await self._launched.wait()
        except TimeoutError:
            ended = await self._launched.kill()
        self.said = await asyncio.to_thread(_tail, self._folder / "errors")
        return ended

    async def close(self) -> None:
        """Nothing of it runs afterwards, and nothing is left."""
        await asyncio.shield(self._end())

    async def _end(self) -> None:
        # with its input at an end it ends by itself, and removes what it has received by halves
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                await self._launched.wait()
        await self._launched.kill()
        self.afterwards()
        await asyncio.to_thread(remove_tree, self._folder)


def _sweep(repository: Path, *, older_than: float) -> None:
    for path in repository.glob("objects/tmp_objdir-*"):
        if path.stat().st_mtime <= time.time() - older_than:
            remove_tree(path)


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1000))
        return file.read().decode("utf-8", "replace").strip()
