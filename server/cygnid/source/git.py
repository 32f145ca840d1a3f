"""A commit of a git repository becomes a tree.

Git runs in a sandbox as a user of its own, sees one folder that is gone afterwards, and connects only to addresses that
were judged beforehand. What it fetched is packed as a tar and goes the way of every upload: the same rules, the same
digest.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.spec import Mount
from cygnid.sandbox.targets import TargetRefused, Targets, TargetUnknown
from cygnid.source import git_command as command
from cygnid.source.archive import ArchiveSource
from cygnid.source.base import (
    ArchiveSpec,
    GitRemote,
    GitRepository,
    GitSpec,
    Heads,
    SourceCommit,
    SourceInvalid,
    SourceUnavailable,
    Tree,
)
from cygnid.source.git_grafting import Entry, Grafting
from cygnid.source.git_submodules import Allowed
from cygnid.source.git_url import BadUrl, GitUrl, parse
from cygnid.source.git_work import GitLimits, Work, run_folder, sandbox_name

_LOCAL = "/repository"
_LOCAL_URL = GitUrl(scheme="file", user=None, host="", port=0, path=_LOCAL)
_LISTING_BYTES = 32 << 20
_ANSWER_BYTES = 4 << 20
_LFS_SIZES = range(len(command.LFS), 1024)


class GitSource:
    """`folder` is where it works; the user `uid` must be able to enter it. `targets` says where it may connect,
    `file_root` below which folder `file:///` may lead. `ca_file`: certificate authorities beside the usual ones.
    `submodules`: which of them are fetched; none otherwise."""

    def __init__(
        self,
        *,
        archives: ArchiveSource,
        sandbox: Sandbox,
        folder: Path,
        uid: int | None = None,
        targets: Targets | None = None,
        file_root: Path | None = None,
        ca_file: Path | None = None,
        limits: GitLimits | None = None,
        submodules: Allowed | None = None,
    ) -> None:
        self._archives = archives
        self._sandbox = sandbox
        self._folder = folder
        self._uid = uid if os.getuid() == 0 else None
        self._targets = targets or Targets()
        self._file_root = file_root
        self._ca_file = ca_file
        self._limits = limits or GitLimits()
        self._submodules = submodules or Allowed()
        self._can_pin = False

    async def fetch(self, spec: ArchiveSpec | GitSpec, into: Path) -> Tree:
        if isinstance(spec, ArchiveSpec):
            return await self._archives.fetch(spec, into)
        async with self._work(spec.repository, into.name) as work:
            sha = await self._fetched(work, spec)
            commit = await self._commit(work, sha)
            listing = await self._listing(work, sha)
            changed = None if spec.since is None else await self._changed(work, spec.since, sha)
            known_hosts = work.known_hosts()
            grafting = Grafting(
                work, self._submodules, connect=self._connected, fetch=self._fetched_commit, listing=self._listing
            )
            whole, listing = await grafting.graft(sha, listing)
            packed = await work.run(*command.ARCHIVE, whole, output="tree.tar")
            if packed.code != 0:
                raise SourceInvalid("The repository has what git refuses.", hint=command.cleaned(packed.errors))
            tree = await self._unpacked(run_folder(work.folder) / "tree.tar", into)
            notes = (*grafting.notes, *await asyncio.to_thread(_notes, tree.path, listing))
            return replace(tree, commit=commit, notes=notes, changed=changed, known_hosts=known_hosts)

    async def heads(self, repository: GitRepository, branches: Collection[str], *, name: str) -> Heads:
        async with self._work(repository, name) as work:
            wanted = [f"refs/heads/{branch}" for branch in branches]
            said = await work.run(*command.ls_remote(work.url, *wanted), online=True, limit=_ANSWER_BYTES)
            if said.code != 0:
                command.raise_for(said.errors, work.remote, work.target.url)
            shas = {ref.removeprefix("refs/heads/"): sha for sha, ref in _refs(said.output) if ref in wanted}
            return Heads(shas=shas, known_hosts=work.known_hosts())

    async def kill(self, into: Path) -> None:
        folder = self._folder / into.name
        await self._sandbox.kill(sandbox_name(into.name), run_folder(folder))
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    @asynccontextmanager
    async def _work(self, repository: GitRepository, name: str) -> AsyncGenerator[Work]:
        """An empty repository of our own to fetch into, gone afterwards."""
        target, mounts, url = await self._target(repository)
        await self.kill(Path(name))
        folder = self._folder / name
        work = Work(
            sandbox=self._sandbox,
            folder=folder,
            target=target,
            url=url,
            remote=repository if isinstance(repository, GitRemote) else None,
            uid=self._uid if isinstance(repository, GitRemote) or repository.uid is None else repository.uid,
            mounts=mounts,
            limits=self._limits,
            ca_file=self._ca_file,
            deadline=time.monotonic() + self._limits.seconds,
        )
        try:
            await asyncio.to_thread(work.prepare)
            await self._require_pinning(work)
            yield work
        except OSError as error:
            raise SourceUnavailable(f"The repository could not be fetched: {error.strerror}") from error
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    async def _connected(self, work: Work, remote: GitRemote) -> Work:
        """The same work, that goes to another repository."""
        target, mounts, url = await self._target(remote)
        other = replace(work, target=target, mounts=mounts, url=url, remote=remote)
        await self._require_pinning(other)
        return other

    async def _fetched_commit(self, work: Work, sha: str) -> str:
        assert work.remote is not None
        return await self._fetched(work, GitSpec(repository=work.remote, commit=sha))

    async def _require_pinning(self, work: Work) -> None:
        """An older git would leave out what it does not know, and resolve the host by itself."""
        if self._can_pin or not work.target.addresses:
            return
        said = (await work.run("git", "version")).output.decode()
        if not command.can_pin(said):
            raise SourceUnavailable(
                f"This machine's git is too old to fetch with: {command.cleaned(said)}.",
                hint="It takes git 2.37 or newer; ask whoever runs this installation.",
            )
        self._can_pin = True

    async def _target(self, repository: GitRepository) -> tuple[command.Target, tuple[Mount, ...], str]:
        """Where git may connect, what it is shown, and the URL that it is told. Raises SourceInvalid for what is not
        allowed, SourceUnavailable."""
        if not isinstance(repository, GitRemote):
            here = Mount(source=repository.path, target=_LOCAL)
            return command.Target(url=_LOCAL_URL, addresses=()), (here,), f"file://{_LOCAL}"
        try:
            url = parse(repository.url)
        except BadUrl as bad:
            raise SourceInvalid(f"The repository's URL cannot be used: {bad}.", hint=bad.hint) from bad
        if url.scheme == "file":
            path = await asyncio.to_thread(os.path.realpath, url.path)
            if self._file_root is None or not Path(path).is_relative_to(os.path.realpath(self._file_root)):
                raise SourceInvalid("Repositories on this machine's own disk are not allowed here.")
            return command.Target(url=url, addresses=()), (Mount(source=Path(path), target=_LOCAL),), f"file://{_LOCAL}"
        if url.scheme == "http" and not self._targets.is_allowed(url.host):
            raise SourceInvalid("Repositories are fetched by https or ssh.", hint="Give an https:// URL.")
        try:
            addresses = await self._targets.resolve(url.host)
        except TargetRefused as refused:
            hint = "Whoever runs this installation can allow it: CYGNI_ALLOWED_PRIVATE_HOSTS."
            raise SourceInvalid(str(refused), hint=hint) from refused
        except TargetUnknown as unknown:
            raise SourceUnavailable(str(unknown), hint="See whether the URL is right, then try again.") from unknown
        return command.Target(url=url, addresses=addresses), (), repository.url

    async def _fetched(self, work: Work, spec: GitSpec) -> str:
        """The commit that is there now. Raises SourceInvalid where the repository does not have it."""
        if spec.commit is not None:
            ref, what = spec.commit, f"commit {spec.commit[:12]}"
        elif spec.tag is not None:
            ref, what = f"refs/tags/{spec.tag}", f"tag {spec.tag}"
        else:
            ref, what = f"refs/heads/{spec.branch}", f"branch {spec.branch}"
        said = await work.run(*command.fetch(work.url, ref, spec.since), online=True)
        if said.code != 0 and spec.since is not None:
            said = await work.run(*command.fetch(work.url, ref, None), online=True)
        if said.code == 0:
            return await self._resolved(work, command.HEAD)
        command.raise_for(said.errors, work.remote, work.target.url)
        if spec.commit is not None and "unadvertised" in said.errors.lower():
            await work.run(*command.fetch(work.url, ref, None, whole=True), online=True)
            if found := await self._resolved(work, spec.commit, required=False):
                return found
        raise command.missing(what, await self._branches(work))

    async def _branches(self, work: Work) -> list[str]:
        said = await work.run(*command.ls_remote(work.url, "refs/heads/*"), online=True, limit=_ANSWER_BYTES)
        return [ref.removeprefix("refs/heads/") for _, ref in _refs(said.output)]

    async def _resolved(self, work: Work, ref: str, *, required: bool = True) -> str:
        said = await work.run("git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if said.code != 0 and required:
            raise SourceInvalid("What was asked for is no commit.", hint="Name a branch, or a tag of a commit.")
        return said.output.decode().strip()

    async def _commit(self, work: Work, sha: str) -> SourceCommit:
        said = await work.run(*command.SHOW, sha, limit=_ANSWER_BYTES)
        fields = said.output.decode("utf-8", "replace").split("\0", 4)
        if said.code != 0 or len(fields) != 5:
            raise SourceInvalid("The commit cannot be read.", hint=command.cleaned(said.errors))
        _, name, email, seconds, message = fields
        return SourceCommit(
            sha=sha,
            message=message.strip().replace("\0", "")[:500],
            author_name=command.cleaned(name),
            author_email=command.cleaned(email),
            committed_at=datetime.fromtimestamp(min(int(seconds), 1 << 36), UTC),
        )

    async def _listing(self, work: Work, sha: str) -> list[Entry]:
        """All that it holds, before anything of it is written: trees may name each other until
        there are more entries than any disk has room for."""
        said = await work.run(*command.LIST, sha, limit=_LISTING_BYTES)
        if said.code != 0 and len(said.output) < _LISTING_BYTES:
            raise SourceInvalid("The repository cannot be read.", hint=command.cleaned(said.errors))
        listing: list[Entry] = []
        limits, total = self._archives.limits, 0
        for entry in said.output.split(b"\0"):
            about, _, path = entry.partition(b"\t")
            words = about.split()
            if len(words) == 4:
                size = int(words[3]) if words[3].isdigit() else 0
                total += size
                mode, object_id = words[0].decode(), words[2].decode()
                listing.append(Entry(mode, size, path.decode("utf-8", "surrogateescape"), object_id))
        if len(listing) > limits.max_entries or len(said.output) >= _LISTING_BYTES:
            raise SourceInvalid(f"The repository has more than {limits.max_entries} files.")
        if total > limits.max_bytes:
            raise SourceInvalid(f"The repository's files are larger than {limits.max_bytes >> 20} MiB.")
        if not listing:
            raise SourceInvalid("The commit has no files.", hint="Commit the app's files, push, and deploy again.")
        return listing

    async def _changed(self, work: Work, since: str, sha: str) -> frozenset[str] | None:
        said = await work.run(*command.CHANGED, since, sha, limit=_LISTING_BYTES)
        if said.code != 0 or len(said.output) >= _LISTING_BYTES:
            return None
        return frozenset(path.decode("utf-8", "surrogateescape") for path in said.output.split(b"\0") if path)

    async def _unpacked(self, tar: Path, into: Path) -> Tree:
        try:
            return await self._archives.fetch(ArchiveSpec(path=tar, content_type="application/x-tar", sha256=""), into)
        except SourceInvalid as error:
            message = error.message.replace("archive", "repository").replace("An entry", "A file of it")
            raise SourceInvalid(message, member=error.member, hint=error.hint) from error


def _refs(output: bytes) -> list[tuple[str, str]]:
    lines = (line.split("\t") for line in output.decode("utf-8", "replace").splitlines())
    return [(words[0], words[1]) for words in lines if len(words) == 2]


def _notes(tree: Path, listing: Sequence[Entry]) -> tuple[str, ...]:
    """What the repository names and the tree does not have."""
    if not any(entry.path.rpartition("/")[2] == ".gitattributes" for entry in listing):
        return ()
    pointers = [
        entry.path
        for entry in listing
        if entry.mode != "120000" and entry.size in _LFS_SIZES and _is_pointer(tree / entry.path)
    ]
    note = (
        f"kept in Git LFS, so only their pointers are here: {_few(pointers)}. Commit the files themselves"
        " (git lfs migrate export), or deploy the folder that has them: cygni deploy"
    )
    return (note,) if pointers else ()


def _is_pointer(path: Path) -> bool:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return file.read(len(command.LFS)) == command.LFS
    except OSError:
        return False  # one of the names that no tree has


def _few(paths: Sequence[str]) -> str:
    names = ", ".join(command.cleaned(path) for path in paths[:5])
    return names if len(paths) <= 5 else f"{names} and {len(paths) - 5} more"
