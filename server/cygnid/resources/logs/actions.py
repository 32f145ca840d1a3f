"""What can happen to log streams. Lines are written by the tailer alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cygnid.core import changes, clock
from cygnid.core.changes import Wake
from cygnid.core.db import Tx
from cygnid.resources.logs.schemas import Level, Stream


@dataclass(frozen=True, kw_only=True)
class LogStream:
    """A file that something will write, and what its lines are about."""

    path: Path
    source: Literal["build", "app"]
    stream: Stream | None
    project_id: str
    environment: str | None
    environment_id: str | None
    deployment_id: str | None
    step: str | None = None
    process: str | None = None
    instance_id: str | None = None


async def open_stream(tx: Tx, stream: LogStream) -> None:
    """The tailer reads this file from now on; called before it is written, and its writer creates it. Opened again
    it goes on where it was, also after it was closed."""
    await tx.execute(
        """INSERT INTO log_streams (path, source, stream, project_id, environment, environment_id, deployment_id, step,
               process, instance_id, opened_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
           ON CONFLICT ON CONSTRAINT log_streams_path DO UPDATE SET closed_at = NULL""",
        _name(stream.path),
        stream.source,
        stream.stream,
        stream.project_id,
        stream.environment,
        stream.environment_id,
        stream.deployment_id,
        stream.step,
        stream.process,
        stream.instance_id,
        clock.now(),
    )
    await changes.wake(tx, Wake.LOGS)


async def close_stream(tx: Tx, path: Path) -> None:
    """Nothing more will be written: the tailer reads to the end and deletes the file. Idempotent."""
    await tx.execute(
        "UPDATE log_streams SET closed_at = $2 WHERE path = $1 AND closed_at IS NULL", _name(path), clock.now()
    )
    await changes.wake(tx, Wake.LOGS)


async def system_line(
    tx: Tx,
    project_id: str,
    environment: str | None,
    message: str,
    *,
    level: Level = "info",
    deployment_id: str | None = None,
    instance_id: str | None = None,
    process: str | None = None,
) -> None:
    """What the platform says in the project's log. It becomes a line when the tailer has taken it."""
    await tx.execute(
        """INSERT INTO log_notes (project_id, environment, level, message, deployment_id, process, instance_id,
               created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        project_id,
        environment,
        level,
        message,
        deployment_id,
        process,
        instance_id,
        clock.now(),
    )
    await changes.wake(tx, Wake.LOGS)


def _name(path: Path) -> str:
    return str(path.absolute())
