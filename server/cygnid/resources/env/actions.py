"""What can happen to environment variables. All changes of a project's variables wait for each other."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from cygnid.core import changes, clock, etag
from cygnid.core.access import BOUND, Permission
from cygnid.core.actors import Actor
from cygnid.core.db import Tx
from cygnid.core.errors import FieldError, Forbidden, InvalidState, NotFound, ValidationError
from cygnid.core.ids import new_id
from cygnid.core.schemas import Warning  # noqa: A004  the contract's name
from cygnid.core.secrets import Secrets
from cygnid.resources.env import queries, values
from cygnid.resources.env.access import EnvAccess, VariableAccess
from cygnid.resources.env.pins import pin
from cygnid.resources.env.queries import PREVIEW, VariableRow
from cygnid.resources.env.schemas import (
    EnvEvent,
    EnvOverlap,
    EnvTarget,
    EnvType,
    EnvVariablePatch,
    NeverPlain,
)
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.access import ProjectAccess
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow

__all__ = ["copy", "create", "delete", "lock", "pin", "record_export", "reveal", "rollback", "take_out", "update"]
HIDDEN = "***"
MAX_VARIABLES = 1000
MAX_TOTAL_BYTES = 1_000_000
"""Of what a process is given as its environment: the kernel takes 2 MB of it with the arguments (execve(2)), and what
counts for all previews comes on top of an environment's own."""
"""Of a project."""


class _Fullest(msgspec.Struct, frozen=True):
    environment: str
    bytes: int
    biggest: list[str]


async def create(
    tx: Tx,
    secrets: Secrets,
    access: ProjectAccess,
    *,
    key: str,
    value: str,
    environments: Sequence[str],
    type: EnvType = "secret",  # noqa: A002  the contract's name
    target: EnvTarget = "both",
    comment: str | None = None,
    request_id: str | None = None,
) -> str:
    """The new variable's id. Raises ValidationError, EnvOverlap (from the unique index, not from a look)."""
    await lock(tx, access.project)
    _check(values.problems(key, value))
    variable_id, now = new_id("env"), clock.now()
    await tx.execute(
        """INSERT INTO env_variables (id, project_id, key, type, target, comment, created_at, updated_at, created_by,
               updated_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $8)""",
        variable_id,
        access.project.id,
        key,
        type,
        target,
        comment,
        now,
        access.actor.created_by,
    )
    await _require_room(tx, access.project)
    await _enter(tx, access.project, key, variable_id, environments)
    sealed, hashed = values.seal(secrets, value), values.value_hash(secrets, access.project.id, value)
    await _add_version(tx, variable_id, access.actor, sealed=sealed, value_hash=hashed)
    row = await _row(tx, variable_id)
    after = {"value": HIDDEN, "environments": row.environments, "type": type, "target": target}
    await _record(tx, access, EnvEvent.CREATED, row, after=after, request_id=request_id)
    return variable_id


async def update(
    tx: Tx,
    secrets: Secrets,
    access: VariableAccess,
    patch: EnvVariablePatch,
    *,
    if_match: int | None = None,
    request_id: str | None = None,
) -> None:
    """Merge the patch in; what builds and processes see of it is a new version. One that changes nothing leaves no
    trace. Raises ValidationError, EnvOverlap, NeverPlain, PreconditionFailed."""
    row = await _locked(tx, secrets, access, if_match)
    if patch.value is not UNSET:
        _check([problem for problem in values.problems("K", patch.value) if problem.field == "value"])
    if patch.type == "plain" and row.type != "plain":
        raise NeverPlain
    was: dict[str, Any] = {}
    now_is: dict[str, Any] = {}
    if patch.value is not UNSET and patch.value != values.clear(secrets, row.sealed):
        was["value"] = now_is["value"] = HIDDEN
    if patch.environments is not UNSET and set(patch.environments) != set(row.environments):
        was["environments"], now_is["environments"] = row.environments, sorted(set(patch.environments))
        _require_within(access.actor, patch.environments)
    for name in ("type", "target", "comment"):
        given = getattr(patch, name)
        if given is not UNSET and given != getattr(row, name):
            was[name], now_is[name] = getattr(row, name), given
    if not now_is:
        return
    if "environments" in now_is:
        await tx.execute("DELETE FROM env_entries WHERE variable_id = $1", row.id)
        await _enter(tx, access.project, row.key, row.id, now_is["environments"])
    kept = {name: now_is.get(name, getattr(row, name)) for name in ("type", "target", "comment")}
    await tx.execute(
        """UPDATE env_variables SET type = $2, target = $3, comment = $4, version = version + $5,
               revision = revision + 1, updated_at = $6, updated_by = $7 WHERE id = $1""",
        row.id,
        kept["type"],
        kept["target"],
        kept["comment"],
        int(bool(now_is.keys() & {"value", "type", "target"})),
        clock.now(),
        access.actor.created_by,
    )
    if now_is.keys() & {"value", "type", "target"}:
        value = patch.value if patch.value is not UNSET else values.clear(secrets, row.sealed)
        hashed = values.value_hash(secrets, row.project_id, value)
        await _add_version(tx, row.id, access.actor, sealed=values.seal(secrets, value), value_hash=hashed)
    changed = await _row(tx, row.id)
    await _record(tx, access, EnvEvent.UPDATED, changed, before=was, after=now_is, request_id=request_id)


async def rollback(
    tx: Tx,
    secrets: Secrets,
    access: VariableAccess,
    version: int,
    *,
    if_match: int | None = None,
    request_id: str | None = None,
) -> None:
    """A new version with that one's value. Raises NotFound, PreconditionFailed."""
    sealed = await queries.sealed_version(tx, access.variable.id, version)
    if sealed is None:
        raise NotFound(
            f"{access.variable.key} has no version {version}.",
            hint=f"GET /v1/env/{access.variable.id}/versions lists them.",
        )
    patch = EnvVariablePatch(value=values.clear(secrets, sealed))
    await update(tx, secrets, access, patch, if_match=if_match, request_id=request_id)


async def delete(
    tx: Tx, secrets: Secrets, access: VariableAccess, *, if_match: int | None = None, request_id: str | None = None
) -> None:
    """Deployments that have it pinned keep running with it; no other will see it. Raises PreconditionFailed."""
    row = await _locked(tx, secrets, access, if_match)
    await _delete(tx, access, row, request_id=request_id)


async def take_out(
    tx: Tx, access: ProjectAccess, row: VariableRow, entry: str, *, request_id: str | None = None
) -> None:
    """The variable no longer counts in this environment; one that counts nowhere else is deleted. The caller has
    locked the project (`lock`)."""
    others = [name for name in row.environments if name != entry]
    if not others:
        await _delete(tx, access, row, request_id=request_id)
        return
    await tx.execute("DELETE FROM env_entries WHERE variable_id = $1 AND environment = $2", row.id, entry)
    await tx.execute(
        "UPDATE env_variables SET revision = revision + 1, updated_at = $2, updated_by = $3 WHERE id = $1",
        row.id,
        clock.now(),
        access.actor.created_by,
    )
    before, after = {"environments": row.environments}, {"environments": others}
    await _record(
        tx, access, EnvEvent.UPDATED, await _row(tx, row.id), before=before, after=after, request_id=request_id
    )


async def reveal(
    tx: Tx, secrets: Secrets, access: VariableAccess, *, reason: str, request_id: str | None = None
) -> str:
    """The value; that it was shown, and why, is recorded."""
    await _record(tx, access, EnvEvent.REVEALED, access.variable, reason=reason, request_id=request_id)
    return values.clear(secrets, access.variable.sealed)


async def record_export(tx: Tx, access: EnvAccess, *, reason: str, request_id: str | None = None) -> None:
    """That all values of an environment were shown, and why."""
    project = access.project
    subject = changes.Subject(
        type="project",
        id=project.id,
        name=project.name,
        team_id=project.team_id,
        project_id=project.id,
        environment=access.entry,
    )
    await changes.record(
        tx, access.actor, EnvEvent.EXPORTED, subject, data={"environments": [access.entry]}, reason=reason,
        request_id=request_id,
    )  # fmt: skip


async def copy(
    tx: Tx,
    secrets: Secrets,
    access: ProjectAccess,
    source: EnvironmentRow,
    into: EnvironmentRow,
    *,
    may_reveal: bool,
) -> list[Warning]:
    """Give an environment variables of its own, as another one has them. Secrets and files are copied for who
    `may_reveal` them in `source`; for others they are empty, with a warning each."""
    await lock(tx, access.project)
    warnings: list[Warning] = []
    for found in await queries.effective(tx, source):
        row = await _row(tx, found.variable_id)
        is_copied = may_reveal or row.type == "plain"
        await create(
            tx,
            secrets,
            access,
            key=row.key,
            value=values.clear(secrets, row.sealed) if is_copied else "",
            environments=[into.name],
            type=row.type,
            target=row.target,
            comment=row.comment,
        )
        if not is_copied:
            message = f"{row.key} was copied without its value: that needs env:reveal."
            warnings.append(Warning(code="secret_not_copied", message=message, path=f"env.{row.key}"))
    return warnings


async def lock(tx: Tx, project: ProjectRow) -> None:
    """Until the transaction ends nobody else changes the project's variables. Raises NotFound, InvalidState."""
    found = await projects.project_for_change(tx, project.id)
    if found is None:
        raise NotFound
    if found.deleted_at is not None:
        raise InvalidState("This project is deleted.")


async def _locked(tx: Tx, secrets: Secrets, access: VariableAccess, if_match: int | None) -> VariableRow:
    """As it is now: between the look of the access and this, another request may have changed it."""
    await lock(tx, access.project)
    row = await queries.variable(tx, access.variable.id)
    if row is None:
        raise NotFound
    readable = Permission.ENV_READ in access.permissions
    etag.require(if_match, row.revision, queries.shown(row, secrets, readable=readable))
    return row


async def _row(tx: Tx, variable_id: str) -> VariableRow:
    row = await queries.variable(tx, variable_id)
    assert row is not None, variable_id
    return row


async def _enter(tx: Tx, project: ProjectRow, key: str, variable_id: str, names: Iterable[str]) -> None:
    ids = {row.name: row.id for row in await projects.environments(tx, project.id)}
    unknown = [
        FieldError(field=f"environments[{index}]", code="not_allowed", reason=f"The project has no environment {name}")
        for index, name in enumerate(names)
        if name != PREVIEW and name not in ids
    ]
    if unknown:
        raise ValidationError.of(unknown, allowed=sorted({PREVIEW, *ids}))
    for name in sorted(set(names)):
        async with tx.unique(env_entries_overlap=EnvOverlap(details=await _holder(tx, project, key, name))):
            await tx.execute(
                """INSERT INTO env_entries (project_id, key, environment, environment_id, variable_id)
                   VALUES ($1, $2, $3, $4, $5)""",
                project.id,
                key,
                name,
                ids.get(name),
                variable_id,
            )


async def _holder(tx: Tx, project: ProjectRow, key: str, entry: str) -> dict[str, Any]:
    found = await tx.value(
        "SELECT variable_id FROM env_entries WHERE project_id = $1 AND key = $2 AND environment = $3",
        project.id,
        key,
        entry,
    )
    return {"environment": entry} | ({"resourceId": found} if found else {})


async def _add_version(tx: Tx, variable_id: str, actor: Actor, *, sealed: bytes, value_hash: str) -> None:
    """The version that the variable's row already names."""
    await tx.execute(
        """INSERT INTO env_versions (variable_id, version, type, target, sealed, value_hash, changed_at, changed_by)
           SELECT id, version, type, target, $2, $3, $4, $5 FROM env_variables WHERE id = $1""",
        variable_id,
        sealed,
        value_hash,
        clock.now(),
        actor.created_by,
    )
    await _require_passable(tx, variable_id)


async def _require_passable(tx: Tx, variable_id: str) -> None:
    """Raises InvalidState when an environment of this variable would have more than a process can be given."""
    fullest = await tx.one(
        _Fullest,
        """SELECT e.environment, sum(octet_length(v.sealed))::bigint AS bytes,
                  (array_agg(a.key ORDER BY octet_length(v.sealed) DESC))[:3] AS biggest
           FROM env_entries o JOIN env_entries e USING (project_id, environment)
           JOIN env_variables a ON a.id = e.variable_id AND a.type <> 'file'
           JOIN env_versions v ON v.variable_id = a.id AND v.version = a.version
           WHERE o.variable_id = $1 GROUP BY e.environment ORDER BY 2 DESC LIMIT 1""",
        variable_id,
    )
    if fullest is not None and fullest.bytes > MAX_TOTAL_BYTES:
        raise InvalidState(
            f"The variables of {fullest.environment} would hold more than {MAX_TOTAL_BYTES // 1000} kB together, "
            "which no process can be given.",
            hint=f"The biggest are {', '.join(fullest.biggest)}: make them of type file, or keep less in them.",
        )


async def _delete(tx: Tx, access: ProjectAccess, row: VariableRow, *, request_id: str | None) -> None:
    await _record(tx, access, EnvEvent.DELETED, row, request_id=request_id)
    await tx.execute("UPDATE env_variables SET deleted_at = $2 WHERE id = $1", row.id, clock.now())
    await tx.execute("DELETE FROM env_entries WHERE variable_id = $1", row.id)
    # what nobody has pinned is gone at once; the rest stays for as long as such a deployment may start again
    await tx.execute(
        """DELETE FROM env_versions n WHERE variable_id = $1
               AND NOT EXISTS (SELECT FROM env_pins p WHERE p.variable_id = n.variable_id AND p.version = n.version)""",
        row.id,
    )
    await tx.execute(
        "DELETE FROM env_variables v WHERE id = $1 AND NOT EXISTS (SELECT FROM env_versions WHERE variable_id = v.id)",
        row.id,
    )


async def _require_room(tx: Tx, project: ProjectRow) -> None:
    count = await tx.value(
        "SELECT count(*) FROM env_variables WHERE project_id = $1 AND deleted_at IS NULL", project.id
    )
    if count > MAX_VARIABLES:
        raise InvalidState(
            f"The project has {MAX_VARIABLES} variables, and no more are possible.", hint="Delete some first."
        )


def _require_within(actor: Actor, environments: Iterable[str]) -> None:
    if actor.environment is not None and set(environments) != {actor.environment}:
        raise Forbidden(BOUND, hint="Use a team or personal token for anything else.")


def _check(problems: Sequence[FieldError]) -> None:
    if problems:
        raise ValidationError.of(problems)


async def _record(
    tx: Tx,
    access: ProjectAccess,
    event: EnvEvent,
    row: VariableRow,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str | None = None,
    request_id: str | None = None,
) -> None:
    subject = changes.Subject(
        type="envVariable",
        id=row.id,
        name=row.key,
        team_id=row.team_id,
        project_id=row.project_id,
        environment=row.environments[0] if len(row.environments) == 1 else None,
    )
    data = {"key": row.key, "environments": row.environments, "version": row.version}
    await changes.record(
        tx, access.actor, event, subject, before=before, after=after, data=data, reason=reason, request_id=request_id
    )
