"""What can happen to an environment once it is there."""

import msgspec
from msgspec import UNSET

from cygnid.core import changes, clock, etag
from cygnid.core.db import Tx
from cygnid.core.errors import InvalidState, NotFound
from cygnid.resources.projects import queries, rules
from cygnid.resources.projects.access import EnvironmentAccess
from cygnid.resources.projects.actions import RESTORABLE, environment_subject, require_time
from cygnid.resources.projects.queries import EnvironmentRow
from cygnid.resources.projects.schemas import EnvironmentEvent, EnvironmentPatch

_ON_THE_WIRE = {
    "branch": "branch",
    "protected": "protected",
    "required_approvals": "requiredApprovals",
    "auto_deploy": "autoDeploy",
}


async def update_environment(
    tx: Tx,
    access: EnvironmentAccess,
    patch: EnvironmentPatch,
    *,
    if_match: int | None,
    request_id: str | None = None,
) -> None:
    """Merge the patch in; one that changes nothing leaves no trace. Raises ValidationError, PreconditionFailed."""
    row = await _locked_environment(tx, access, if_match)
    given = {
        name: value
        for name in _ON_THE_WIRE
        if (value := getattr(patch, name)) is not UNSET and value != getattr(row, name)
    }
    if not given:
        return
    after = msgspec.structs.replace(row, **given)
    rules.check(rules.branch("branch", after.branch))
    await tx.execute(
        """UPDATE environments SET branch = $2, protected = $3, required_approvals = $4, auto_deploy = $5,
               updated_at = $6, version = version + 1
           WHERE id = $1""",
        row.id,
        after.branch,
        after.protected,
        after.required_approvals,
        after.auto_deploy,
        clock.now(),
    )
    await changes.record(
        tx,
        access.actor,
        EnvironmentEvent.UPDATED,
        environment_subject(access.project, row),
        before={_ON_THE_WIRE[name]: getattr(row, name) for name in given},
        after={_ON_THE_WIRE[name]: value for name, value in given.items()},
        request_id=request_id,
    )


async def delete_environment(
    tx: Tx, access: EnvironmentAccess, *, if_match: int | None = None, request_id: str | None = None
) -> None:
    """As for a project. Raises InvalidState for production, PreconditionFailed."""
    row = await _locked_environment(tx, access, if_match)
    if row.name == "production":
        raise InvalidState(
            "A project has its production environment as long as it lives.", hint="Delete the project instead."
        )
    if row.deleted_at is None:
        now = clock.now()
        await tx.execute(
            "UPDATE environments SET deleted_at = $2, purge_at = $3, updated_at = $2 WHERE id = $1",
            row.id,
            now,
            now + RESTORABLE,
        )
        about = environment_subject(access.project, row)
        await changes.record(tx, access.actor, EnvironmentEvent.DELETED, about, request_id=request_id)


async def restore_environment(tx: Tx, access: EnvironmentAccess, *, request_id: str | None = None) -> None:
    """Raises Gone when its time is over."""
    row = await _locked_environment(tx, access)
    if row.purge_at is not None:
        require_time(row.purge_at)
        await tx.execute(
            "UPDATE environments SET deleted_at = NULL, purge_at = NULL, updated_at = $2 WHERE id = $1",
            row.id,
            clock.now(),
        )
        about = environment_subject(access.project, row)
        await changes.record(tx, access.actor, EnvironmentEvent.RESTORED, about, request_id=request_id)


async def _locked_environment(tx: Tx, access: EnvironmentAccess, if_match: int | None = None) -> EnvironmentRow:
    row = await queries.environment_for_change(tx, access.environment.id)
    if row is None:
        raise NotFound
    etag.require(if_match, row.version, queries.shown_environment(access.project, row))
    return row
