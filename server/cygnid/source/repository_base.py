"""The repositories that people push to, as what follows a push sees them."""

from dataclasses import dataclass
from typing import Protocol


class RepositoryFull(Exception):
    """Nothing more can be pushed until something is removed."""


@dataclass(frozen=True, kw_only=True)
class RepositoryCommit:
    sha: str
    message: str
    """Its first 500 characters."""
    author_name: str
    author_email: str
    committed_at: str
    """RFC 3339."""


class PushRepositories(Protocol):
    async def head(self, project_id: str, ref: str) -> str | None:
        """What a ref points to; None: there is none. Raises SourceUnavailable."""
        ...

    async def commit(self, project_id: str, sha: str) -> RepositoryCommit | None:
        """The commit, also of a tag's object; None: the repository has none. Raises SourceUnavailable."""
        ...

    async def collect(self, project_id: str) -> None:
        """Pack what many pushes have left behind, where it is worth it. Raises SourceUnavailable."""
        ...

    async def remove(self, project_id: str) -> None:
        """All of it. Idempotent."""
        ...
