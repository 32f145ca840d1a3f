"""A push: begun before git stores it, arrived once it has."""

from collections.abc import Sequence

import msgspec

from cygnid.core import changes, clock
from cygnid.core.actors import Actor
from cygnid.core.db import Tx
from cygnid.core.ids import new_id
from cygnid.resources.projects.actions import subject
from cygnid.resources.projects.queries import ProjectRow
from cygnid.resources.repositories.queries import PushRow
from cygnid.resources.repositories.schemas import RefUpdate, RepositoryEvent

_SHOWN = 50
"""Of the refs of one push, in its change."""


async def begin_push(
    tx: Tx, actor: Actor, project: ProjectRow, updates: Sequence[RefUpdate], *, request_id: str | None
) -> str:
    """Say that git is about to store this; whoever comes after a crash knows where to look. Its id."""
    push_id = new_id("push")
    await tx.execute(
        """INSERT INTO repository_pushes (id, project_id, actor, updates, request_id, begun_at)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        push_id,
        project.id,
        msgspec.to_builtins(actor),
        msgspec.to_builtins(list(updates)),
        request_id,
        clock.now(),
    )
    return push_id


async def take_push(tx: Tx, push_id: str) -> PushRow | None:
    """The push, which is nobody else's to take note of from here on; None: somebody has."""
    return await tx.one(
        PushRow,
        "DELETE FROM repository_pushes WHERE id = $1 RETURNING id, project_id, actor, updates, request_id, begun_at",
        push_id,
    )


async def arrived(
    tx: Tx, actor: Actor, project: ProjectRow, updates: Sequence[RefUpdate], *, request_id: str | None
) -> None:
    """Take note of what git has stored, record repository.pushed."""
    gone = [update.name for update in updates if update.removes]
    there = [update for update in updates if not update.removes]
    await tx.execute("DELETE FROM repository_refs WHERE project_id = $1 AND name = ANY($2)", project.id, gone)
    await tx.execute(
        """INSERT INTO repository_refs (project_id, name, sha, updated_at)
           SELECT $1::text, given.name, given.sha, $4::timestamptz
           FROM unnest($2::text[], $3::text[]) AS given (name, sha)
           ON CONFLICT (project_id, name) DO UPDATE SET sha = EXCLUDED.sha, updated_at = EXCLUDED.updated_at""",
        project.id,
        [update.name for update in there],
        [update.new for update in there],
        clock.now(),
    )
    await changes.record(
        tx,
        actor,
        RepositoryEvent.PUSHED,
        subject(project),
        before={update.name: update.old for update in updates[:_SHOWN]},
        after={update.name: update.new for update in updates[:_SHOWN]},
        data={"refs": len(updates)},
        request_id=request_id,
    )
