"""What happened: one row is audit row, event and webhook payload. The sealer numbers it after the commit."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec

from cygnid.core import clock
from cygnid.core.actors import Actor
from cygnid.core.db import Tx
from cygnid.core.ids import new_id, suffix

CHANNEL = "cygni"


class Wake(StrEnum):
    """Wake-ups that are no public change."""

    ROUTES = "wake.routes"
    INSTANCES = "wake.instances"
    DUE = "wake.due"
    BUILDS = "wake.builds"
    """A build waits, or there is a place for one."""
    CANCEL = "wake.cancel"
    """Somebody wants running work to end."""
    SEALER = "wake.sealer"
    PUBLISHED = "wake.published"
    SEALED = "wake.sealed"
    LOGS = "wake.logs"
    """There is something to read: a stream opened or closed, a note."""
    LINES = "wake.lines"
    """Log lines were stored."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a change is about. `type` is the noun of the id in camelCase: project, envVariable."""

    type: str
    id: str | None
    name: str | None
    team_id: str | None
    project_id: str | None = None
    environment: str | None = None


async def record(
    tx: Tx,
    actor: Actor,
    event: str,
    subject: Subject,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    result: Literal["success", "denied", "failed"] = "success",
    reason: str | None = None,
    request_id: str | None = None,
) -> str:
    """Store that this happened, in the change's own transaction, and wake whoever waits for its type at the commit.
    `before`, `after`: changed fields only, secrets as "***". Returns the 26 characters that aud_ and evt_ share."""
    identifier = suffix(new_id("aud"))
    await tx.execute(
        """INSERT INTO changes (id, type, team_id, project_id, environment, created_at, result, actor_type, actor_id,
               actor_name, actor_token_id, actor_ip, resource_type, resource_id, resource_name, before, after, data,
               reason, request_id)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)""",
        identifier,
        event,
        subject.team_id,
        subject.project_id,
        subject.environment,
        clock.now(),
        result,
        actor.type,
        actor.id,
        actor.name,
        actor.token_id,
        actor.ip,
        subject.type,
        subject.id,
        subject.name,
        _text(before),
        _text(after),
        _text(data or {}),
        reason,
        request_id,
    )
    await wake(tx, event)
    await wake(tx, Wake.SEALER)
    return identifier


async def wake(tx: Tx, name: str) -> None:
    """NOTIFY at the commit; equal ones of a transaction arrive once. May be lost: timers look again."""
    await tx.execute("SELECT pg_notify($1, $2)", CHANNEL, name)


def _text(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value, order="sorted").decode()
