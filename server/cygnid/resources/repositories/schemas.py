"""What is said of pushes."""

from enum import StrEnum

import msgspec

NOTHING = "0" * 40
BRANCHES, TAGS = "refs/heads/", "refs/tags/"


class RepositoryEvent(StrEnum):
    PUSHED = "repository.pushed"


class RefUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One line of what git tells its hooks (githooks(5), pre-receive)."""

    name: str
    old: str
    """NOTHING: it is new."""
    new: str
    """NOTHING: it is removed."""

    @property
    def branch(self) -> str | None:
        return self.name.removeprefix(BRANCHES) if self.name.startswith(BRANCHES) else None

    @property
    def removes(self) -> bool:
        return self.new == NOTHING
