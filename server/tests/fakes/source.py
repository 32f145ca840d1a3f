"""A source without archives and git: trees by the hash of their upload, and by repository, branch and commit."""

import hashlib
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

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


@dataclass
class FakeRepository:
    commits: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """sha → files."""
    refs: dict[str, str] = field(default_factory=dict[str, str])
    """refs/heads/… and refs/tags/… → sha."""

    def commit(self, files: Mapping[str, str], ref: str = "refs/heads/main") -> str:
        parent = self.refs.get(ref, "")
        sha = hashlib.sha1(f"{parent}{sorted(files.items())}".encode(), usedforsecurity=False).hexdigest()
        self.commits[sha], self.refs[ref] = files, sha
        return sha


class FakeSource:
    def __init__(self) -> None:
        self.trees: dict[str, Mapping[str, str]] = {}
        """sha256 → name → content; an upload that is not here is invalid."""
        self.repositories: dict[str, FakeRepository] = {}
        """By URL or path; one that is not here does not answer."""
        self.asked: list[GitRepository] = []
        """What git was to talk to, in turn."""
        self.fail: SourceInvalid | SourceUnavailable | None = None
        """Raised by the next fetch."""

    async def fetch(self, spec: ArchiveSpec | GitSpec, into: Path) -> Tree:
        try:
            into.mkdir()
        except OSError as error:
            raise SourceUnavailable(str(error)) from error
        try:
            if self.fail is not None:
                failure, self.fail = self.fail, None
                raise failure
            sha, changed = None, None
            if isinstance(spec, GitSpec):
                repository = self._repository(spec.repository)
                sha = _sha(repository, spec)
                files = repository.commits[sha]
                changed = _changed(repository, spec.since, files)
            else:
                files = self._upload(spec)
            for name, content in files.items():
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                (into / name).write_text(content)
        except BaseException:
            shutil.rmtree(into)
            raise
        digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
        size = sum(len(content.encode()) for content in files.values())
        return Tree(
            path=into,
            digest=f"sha256:{digest}",
            files=len(files),
            size_bytes=size,
            commit=None if sha is None else _commit(sha),
            changed=changed,
        )

    async def heads(self, repository: GitRepository, branches: Collection[str], *, name: str) -> Heads:
        if self.fail is not None:
            failure, self.fail = self.fail, None
            raise failure
        refs = self._repository(repository).refs
        found = {branch: refs[f"refs/heads/{branch}"] for branch in branches if f"refs/heads/{branch}" in refs}
        return Heads(shas=found, known_hosts="")

    async def kill(self, into: Path) -> None:
        pass

    def _repository(self, repository: GitRepository) -> FakeRepository:
        self.asked.append(repository)
        name = repository.url if isinstance(repository, GitRemote) else str(repository.path)
        if name not in self.repositories:
            raise SourceUnavailable("The host cannot be reached, or broke off.")
        return self.repositories[name]

    def _upload(self, spec: ArchiveSpec) -> Mapping[str, str]:
        if not spec.path.is_file():
            raise SourceUnavailable("The upload could not be read.")
        if not (files := self.trees.get(spec.sha256)):
            raise SourceInvalid("This is not an archive of the type it says.")
        return files


def _sha(repository: FakeRepository, spec: GitSpec) -> str:
    ref = f"refs/tags/{spec.tag}" if spec.tag is not None else f"refs/heads/{spec.branch}"
    sha = spec.commit or repository.refs.get(ref)
    if sha not in repository.commits:
        raise SourceInvalid(f"The repository has no {ref.split('/', 2)[2]}.")
    return sha


def _changed(repository: FakeRepository, since: str | None, files: Mapping[str, str]) -> frozenset[str] | None:
    if since is None or since not in repository.commits:
        return None
    before = repository.commits[since]
    return frozenset(name for name in {*before, *files} if before.get(name) != files.get(name))


def _commit(sha: str) -> SourceCommit:
    return SourceCommit(
        sha=sha,
        message="A change",
        author_name="Ada",
        author_email="ada@example.com",
        committed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
