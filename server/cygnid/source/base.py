"""Where a source tree comes from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol


class SourceInvalid(Exception):
    """The source is there and cannot be used; `member` names the offending entry."""

    def __init__(self, message: str, *, member: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.member, self.hint = message, member, hint


class SourceUnavailable(Exception):
    """The source could not be read; trying again later may help."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, kw_only=True)
class ArchiveSpec:
    """A complete upload on our disk."""

    path: Path
    content_type: Literal["application/gzip", "application/zstd", "application/zip", "application/x-tar"]
    sha256: str
    """64 hex of the archive's bytes, checked when they arrived."""


@dataclass(frozen=True, kw_only=True)
class GitRemote:
    """A repository elsewhere, and what its host asks for."""

    url: str
    username: str | None = None
    token: str | None = None
    """Sent to the URL's own host and port, never along a redirect."""
    ssh_key: str | None = None
    """Private, in OpenSSH's format."""
    known_hosts: str = ""
    """The host's ssh keys; empty: the one it shows is taken, and told in the answer."""


@dataclass(frozen=True, kw_only=True)
class LocalRepository:
    """A bare repository of ours."""

    path: Path
    uid: int | None
    """Whose it is; None: our own."""


GitRepository = GitRemote | LocalRepository


@dataclass(frozen=True, kw_only=True)
class GitSpec:
    """`commit`, else `tag`, else `branch`; as it is when it is fetched."""

    repository: GitRepository
    branch: str | None = None
    tag: str | None = None
    commit: str | None = None
    """40 hex."""
    since: str | None = None
    """A commit: which paths have changed since then is told."""


@dataclass(frozen=True, kw_only=True)
class SourceCommit:
    sha: str
    message: str
    author_name: str
    author_email: str
    committed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Heads:
    """The commits of branches; one that the repository does not have is not among them."""

    shas: Mapping[str, str]
    known_hosts: str
    """As the repository's were, or with the key that its host showed."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """An unpacked source tree, ours alone, with no link that leaves it."""

    path: Path
    digest: str
    """`sha256:…` over names, modes and contents; equal trees have equal digests whatever archive they came in."""
    files: int
    size_bytes: int
    commit: SourceCommit | None = None
    """None: no git."""
    notes: tuple[str, ...] = ()
    """What is not in the tree though the repository names it."""
    changed: frozenset[str] | None = None
    """The paths that differ from `GitSpec.since`; None: not asked for, or that commit is not there any more."""
    known_hosts: str = ""
    """As in Heads."""


class Source(Protocol):
    async def fetch(self, spec: ArchiveSpec | GitSpec, into: Path) -> Tree:
        """Unpack into the new folder `into`. All or nothing: on any error `into` does not exist afterwards.
        Raises SourceInvalid, SourceUnavailable."""
        ...

    async def heads(self, repository: GitRepository, branches: Collection[str], *, name: str) -> Heads:
        """What these branches are now, at the price of one question. `name` is the asker's own, as of a folder.
        Raises SourceInvalid, SourceUnavailable."""
        ...

    async def kill(self, into: Path) -> None:
        """End what an earlier process still fetches into this folder. Idempotent."""
        ...
