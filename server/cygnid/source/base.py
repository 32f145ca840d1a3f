"""Where a source tree comes from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


class SourceInvalid(Exception):
    """The source is there and cannot be used; `member` names the offending entry."""

    def __init__(self, message: str, *, member: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.member, self.hint = message, member, hint


class SourceUnavailable(Exception):
    """The source could not be read; trying again later may help."""


@dataclass(frozen=True, kw_only=True)
class ArchiveSpec:
    """A complete upload on our disk."""

    path: Path
    content_type: Literal["application/gzip", "application/zstd", "application/zip"]
    sha256: str
    """64 hex of the archive's bytes, checked when they arrived."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """An unpacked source tree, ours alone, with no link that leaves it."""

    path: Path
    digest: str
    """`sha256:…` over names, modes and contents; equal trees have equal digests whatever archive they came in."""
    files: int
    size_bytes: int


class Source(Protocol):
    async def fetch(self, spec: ArchiveSpec, into: Path) -> Tree:
        """Unpack into the new folder `into`. All or nothing: on any error `into` does not exist afterwards.
        Raises SourceInvalid, SourceUnavailable."""
        ...
