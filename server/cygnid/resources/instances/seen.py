"""What is seen of instances, and done to them: the part of the actions that only this noun's tasks call."""

from datetime import datetime, timedelta

from cygnid.core import changes, clock
from cygnid.core.actors import SYSTEM
from cygnid.core.changes import Wake
from cygnid.core.db import Tx
from cygnid.resources.instances.queries import InstanceRow
from cygnid.resources.instances.schemas import ExitReason, InstanceEvent
from cygnid.resources.logs import actions as logs
from cygnid.runtime.base import Address, Exit

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1, 300
RAN_WELL = timedelta(minutes=10)
"""Whoever ran for this long is started again at once when it crashes."""


async def started(tx: Tx, row: InstanceRow, address: Address | None, *, at: datetime, node: str) -> None:
    await _set(
        tx,
        row,
        "host = $3, port = $4, started_at = $5, node = $6, message = NULL",
        address and address.host,
        address and address.port,
        at,
        node,
    )


async def crashed(tx: Tx, row: InstanceRow, end: Exit, reason: ExitReason, *, message: str | None = None) -> None:
    """It ended by itself or was never made (`message` says why). It is started again after a while, which doubles with
    every crash; not while on trial, when its deployment judges it."""
    ran_well = row.started_at is not None and end.at - row.started_at >= RAN_WELL
    crashes = 1 if ran_well else row.crashes + 1
    pause = min(FIRST_RETRY_SECONDS * 2 ** (crashes - 1), LAST_RETRY_SECONDS)
    changed = await _set(
        tx,
        row,
        """status = 'crashed', host = NULL, port = NULL, started_at = NULL, ailing = false, exit_at = $3,
           exit_code = $4, exit_signal = $5, exit_reason = $6, message = $7, crashes = $8, retry_at = $9""",
        end.at,
        end.code,
        end.signal,
        reason,
        message,
        crashes,
        clock.now() + timedelta(seconds=pause),
    )
    if not changed:
        return
    how = message or _how(end, reason)
    again = "" if row.on_trial else f" It is started again in {pause} s."
    await _say(tx, row, f"The process {row.process} {how}{again}")
    data = {"reason": reason, "exitCode": end.code, "signal": end.signal, "restarts": row.restarts}
    await changes.record(tx, SYSTEM, InstanceEvent.CRASHED, subject(row), data=data)


async def lost(tx: Tx, row: InstanceRow, at: datetime) -> None:
    """The machine was started again, which no instance survives and none is to blame for. One on trial has failed."""
    await _set(
        tx,
        row,
        """status = CASE WHEN on_trial THEN 'crashed' ELSE 'stopped' END, host = NULL, port = NULL, started_at = NULL,
           ailing = false, retry_at = $3, exit_at = $3, exit_code = NULL, exit_signal = NULL,
           exit_reason = 'stopped'""",
        at,
    )


async def starting(tx: Tx, row: InstanceRow) -> None:
    """It is started again. Nothing of its last life may be left on the machine."""
    await _set(
        tx,
        row,
        """status = 'starting', host = NULL, port = NULL, started_at = NULL, ailing = false, retry_at = NULL,
           restarts = restarts + CASE WHEN status = 'crashed' THEN 1 ELSE 0 END""",
    )


async def stopping(tx: Tx, row: InstanceRow) -> None:
    await _set(tx, row, "status = 'stopping'")


async def stopped(tx: Tx, row: InstanceRow, end: Exit | None) -> None:
    """Nothing of it is left on the machine. One that is retired and had crashed stays so: that is how it ended."""
    ended = end is not None and row.status != "crashed"
    await _set(
        tx,
        row,
        """status = CASE WHEN retired_at IS NOT NULL AND status = 'crashed' THEN status ELSE 'stopped' END,
           host = NULL, port = NULL, started_at = NULL, ailing = false,
           forgotten_at = CASE WHEN retired_at IS NOT NULL THEN $3::timestamptz END,
           exit_at = CASE WHEN $4::boolean THEN $5::timestamptz ELSE exit_at END,
           exit_code = CASE WHEN $4 THEN $6::integer ELSE exit_code END,
           exit_signal = CASE WHEN $4 THEN $7::text ELSE exit_signal END,
           exit_reason = CASE WHEN $4 THEN 'stopped' ELSE exit_reason END""",
        clock.now(),
        ended,
        end and end.at,
        end and end.code,
        end and end.signal,
    )


async def healthy(tx: Tx, row: InstanceRow) -> bool:
    """False: nothing was written, as for each of these, since the row has changed meanwhile."""
    if not await _set(tx, row, "status = 'running', ailing = false"):
        return False
    if row.status == "unhealthy":
        await _say(tx, row, f"The process {row.process} is healthy again.", level="info")
        await changes.record(tx, SYSTEM, InstanceEvent.RECOVERED, subject(row))
    return True


async def unhealthy(tx: Tx, row: InstanceRow, why: str, *, ailing: bool) -> None:
    """`ailing`: for so long that it is to be started again."""
    if await _set(tx, row, "status = 'unhealthy', ailing = $3", ailing) and row.status != "unhealthy":
        await _say(tx, row, f"The process {row.process} is unhealthy: {why}.")
        await changes.record(tx, SYSTEM, InstanceEvent.UNHEALTHY, subject(row), data={"reason": why})


async def left_routes(tx: Tx, instance_ids: list[str]) -> None:
    """The edge has confirmed that it sends these retired instances nothing more. Called by routes."""
    await tx.execute(
        "UPDATE instances SET left_routes_at = $2 WHERE id = ANY($1) AND retired_at IS NOT NULL",
        instance_ids,
        clock.now(),
    )
    await changes.wake(tx, Wake.INSTANCES)


async def sweep(tx: Tx, before: datetime) -> None:
    """Rows of instances that were gone before."""
    await tx.execute("DELETE FROM instances WHERE forgotten_at < $1", before)


def reason_of(end: Exit) -> ExitReason:
    if end.out_of_memory:
        return "outOfMemory"
    return "exited" if end.code == 0 else "crashed"


def subject(row: InstanceRow) -> changes.Subject:
    return changes.Subject(
        type="instance",
        id=row.id,
        name=row.process,
        team_id=row.team_id,
        project_id=row.project_id,
        environment=row.environment,
    )


async def _set(tx: Tx, row: InstanceRow, columns: str, *values: object) -> int:
    """Nothing, if the row has changed since it was looked at: the next look decides anew."""
    changed = await tx.execute(
        f"UPDATE instances SET updated_at = clock_timestamp(), {columns} WHERE id = $1 AND updated_at = $2",  # noqa: S608
        row.id,
        row.updated_at,
        *values,
    )
    await changes.wake(tx, Wake.INSTANCES)
    return changed


async def _say(tx: Tx, row: InstanceRow, message: str, *, level: logs.Level = "error") -> None:
    await logs.system_line(
        tx,
        row.project_id,
        row.environment,
        message,
        level=level,
        deployment_id=row.deployment_id,
        instance_id=row.id,
        process=row.process,
    )


def _how(end: Exit, reason: ExitReason) -> str:
    match reason:
        case "outOfMemory":
            return "was ended: it used more memory than it may."
        case "unhealthy":
            return "was ended: it stayed unhealthy."
        case _:
            return f"was ended by {end.signal}." if end.signal else f"exited with code {end.code}."
