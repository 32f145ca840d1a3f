"""The tables `repository_refs` and `repository_pushes`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.resources.repositories.schemas import BRANCHES, TAGS, RefUpdate

_PUSH = "id, project_id, actor, updates, request_id, begun_at"


class PushRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    actor: dict[str, Any]
    updates: list[RefUpdate]
    request_id: str | None
    begun_at: datetime

    @property
    def pusher(self) -> Actor:
        return msgspec.convert(self.actor, Actor)


async def ref(read: Read, project_id: str, *, branch: str | None = None, tag: str | None = None) -> str | None:
    """What a branch or tag of the push repository points to; None: it has none of this name."""
    name = f"{TAGS}{tag}" if tag is not None else f"{BRANCHES}{branch}"
    found: str | None = await read.value(
        "SELECT sha FROM repository_refs WHERE project_id = $1 AND name = $2", project_id, name
    )
    return found


async def is_empty(read: Read, project_id: str) -> bool:
    """Whether nothing was ever pushed, or all of it removed again."""
    return not await read.value("SELECT EXISTS (SELECT FROM repository_refs WHERE project_id = $1)", project_id)


async def left_over(read: Read, before: datetime) -> Sequence[PushRow]:
    """Pushes begun before this that nobody has taken note of, oldest first."""
    return await read.all(
        PushRow,
        f"SELECT {_PUSH} FROM repository_pushes WHERE begun_at < $1 ORDER BY begun_at, id",  # noqa: S608  constant
        before,
    )


async def pushed_to(read: Read, since: datetime) -> Sequence[str]:
    """The projects whose branches or tags have changed since."""
    found: list[str] = await read.value(
        "SELECT coalesce(array_agg(DISTINCT project_id), '{}') FROM repository_refs WHERE updated_at >= $1", since
    )
    return found
