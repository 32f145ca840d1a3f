"""What can happen to releases, processes and instances. What is seen of an instance afterwards is in `seen.py`."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from cygnid.build.base import ProcessPlan
from cygnid.core import changes, clock, etag
from cygnid.core.changes import Wake
from cygnid.core.db import Tx
from cygnid.core.errors import NotFound
from cygnid.core.ids import new_id
from cygnid.resources.instances import queries, specs
from cygnid.resources.instances.queries import ProcessRow
from cygnid.resources.instances.schemas import ProcessEvent, ProcessPatch, ProcessSpec, ReleaseSpec
from cygnid.resources.projects.access import EnvironmentAccess
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow

_WIRE = {"instances": "instances", "cpu": "cpu", "memory_mb": "memoryMb"}


async def process_specs(
    tx: Tx, project: ProjectRow, environment: EnvironmentRow, plans: Sequence[ProcessPlan]
) -> list[ProcessSpec]:
    """The processes of a new release of this plan, all decided: what was scaled by API wins over the project's
    `processes`, these over the plan, the plan over the defaults. A process that only the project names is one if it
    has a command there."""
    scales = await queries.scales(tx, environment.id)
    planned = {plan.type: plan for plan in plans}
    named = {process.type: process for process in project.processes}
    types = [*planned, *(name for name, process in named.items() if name not in planned and process.command)]
    return [specs.decided(name, planned.get(name), named.get(name), scales.get(name)) for name in types]


async def want(tx: Tx, release: ReleaseSpec) -> list[str]:
    """Store the release and start its instances, on trial, beside whatever runs in the environment. Again for the same
    deployment: what was started and has not failed is kept, unless the release differs. Returns their ids."""
    stored = await queries.release(tx, release.deployment_id)
    if stored != release:
        await tx.execute(
            """INSERT INTO releases (deployment_id, project_id, environment_id, environment, kind, path, root, mounts,
                   env, fallback, processes, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
               ON CONFLICT (deployment_id) DO UPDATE SET kind = excluded.kind, path = excluded.path,
                   root = excluded.root, mounts = excluded.mounts, env = excluded.env, fallback = excluded.fallback,
                   processes = excluded.processes""",
            release.deployment_id,
            release.project_id,
            release.environment_id,
            release.environment,
            release.kind,
            release.path,
            release.root,
            msgspec.to_builtins(release.mounts),
            release.env,
            release.fallback,
            msgspec.to_builtins(release.processes),
            clock.now(),
        )
    await _retire(
        tx,
        "deployment_id = $3 AND ($4 OR status NOT IN ('starting', 'running'))",
        release.deployment_id,
        stored != release,
        drain=False,
    )
    for spec in release.processes:
        await _fit(tx, release, spec, spec.instances, on_trial=True)
    return [row.id for row in await queries.of_deployment(tx, release.deployment_id)]


async def go_live(tx: Tx, deployment_id: str) -> None:
    """This release is what its environment serves from now on: its instances are off trial, the environment's processes
    are its, what runs of other releases is retired and drained. To be called once the edge has confirmed the switch and
    answered: the instances that it sent visitors to until then do not come back."""
    release = await queries.release(tx, deployment_id)
    assert release is not None, deployment_id
    now = clock.now()
    await tx.execute(
        "UPDATE processes SET deployment_id = NULL, updated_at = $2 WHERE environment_id = $1 AND deployment_id <> $3",
        release.environment_id,
        now,
        deployment_id,
    )
    await tx.execute("UPDATE instances SET on_trial = false WHERE deployment_id = $1 AND on_trial", deployment_id)
    for spec in release.processes:
        # the row's lock holds back a change of scale until this is committed; one that came before is followed here
        scaled = await tx.value(
            """INSERT INTO processes (id, project_id, environment_id, environment, type, deployment_id, created_at,
                   updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
               ON CONFLICT (environment_id, type) DO UPDATE
                   SET deployment_id = excluded.deployment_id, updated_at = excluded.updated_at
               RETURNING instances""",
            new_id("proc"),
            release.project_id,
            release.environment_id,
            release.environment,
            spec.type,
            deployment_id,
            now,
        )
        await _fit(tx, release, spec, specs.first(scaled, spec.instances), on_trial=False)
    await retire(tx, release.environment_id, but=deployment_id)


async def retire(tx: Tx, environment_id: str, *, but: str | None, drain: bool = True) -> None:
    """Stop what runs in the environment, for good: `but` the instances of this deployment. `drain`: they get no new
    visitors and are waited for until their connections have ended, for a limited time."""
    await _retire(tx, "environment_id = $3 AND deployment_id IS DISTINCT FROM $4", environment_id, but, drain=drain)


async def retire_release(tx: Tx, deployment_id: str, *, drain: bool = False) -> None:
    """Stop the instances of this deployment, for good."""
    await _retire(tx, "deployment_id = $3", deployment_id, drain=drain)


async def set_healthy(tx: Tx, instance_id: str) -> None:
    """It may be sent visitors. Called by the deployment that tries it."""
    await tx.execute(
        """UPDATE instances SET status = 'running', updated_at = $2
           WHERE id = $1 AND status IN ('starting', 'unhealthy') AND retired_at IS NULL""",
        instance_id,
        clock.now(),
    )
    await changes.wake(tx, Wake.INSTANCES)


async def update_process(
    tx: Tx,
    access: EnvironmentAccess,
    type: str,  # noqa: A002
    patch: ProcessPatch,
    *,
    if_match: int | None = None,
    request_id: str | None = None,
) -> None:
    """`instances` act at once; `cpu` and `memory_mb` are for the next release. All are kept over deploys; what changes
    nothing leaves no trace. Raises NotFound, PreconditionFailed."""
    await tx.execute(
        "SELECT FROM processes WHERE environment_id = $1 AND type = $2 FOR UPDATE", access.environment.id, type
    )
    row = await queries.process(tx, access.environment.id, type)
    if row is None:
        raise no_such_process(access, type)
    etag.require(if_match, row.version, queries.shown_process(row, access.project))
    set_ = {"instances": patch.instances, "cpu": patch.cpu, "memory_mb": patch.memory_mb}
    was = {name: getattr(row, name) for name in set_}
    becomes: dict[str, Any] = {name: was[name] if value is UNSET else value for name, value in set_.items()}
    if was == becomes:
        return
    await tx.execute(
        """UPDATE processes SET instances = $2, cpu = $3, memory_mb = $4, version = version + 1, updated_at = $5
           WHERE id = $1""",
        row.id,
        becomes["instances"],
        becomes["cpu"],
        becomes["memory_mb"],
        clock.now(),
    )
    if becomes["instances"] != was["instances"]:
        release = await queries.release(tx, row.deployment_id)
        assert release is not None
        await _fit(tx, release, row.spec, becomes["instances"], on_trial=False)
    for event, names in ((ProcessEvent.SCALED, ["instances"]), (ProcessEvent.UPDATED, ["cpu", "memory_mb"])):
        changed = [name for name in names if was[name] != becomes[name]]
        if changed:
            await changes.record(
                tx,
                access.actor,
                event,
                _subject(row),
                before={_WIRE[name]: specs.first(was[name], getattr(row.spec, name)) for name in changed},
                after={_WIRE[name]: becomes[name] for name in changed},
                request_id=request_id,
            )


def no_such_process(access: EnvironmentAccess, type: str) -> NotFound:  # noqa: A002
    return NotFound(
        f"{access.environment.name} runs no process {type}.",
        hint=f"GET /v1/projects/{access.project.id}/processes lists them; they come with a deployment.",
    )


async def _fit(tx: Tx, release: ReleaseSpec, spec: ProcessSpec, count: int, *, on_trial: bool) -> None:
    """As many instances of this process as wanted: those that do not run go first, then the youngest."""
    ids: list[str] = await tx.value(
        """SELECT COALESCE(array_agg(id ORDER BY status = 'running' DESC, id), '{}') FROM instances
           WHERE deployment_id = $1 AND process = $2 AND retired_at IS NULL""",
        release.deployment_id,
        spec.type,
    )
    await tx.execute(
        """INSERT INTO instances (id, deployment_id, project_id, environment_id, environment, process, protocol,
               on_trial, status, created_at, updated_at)
           SELECT id, $2, $3, $4, $5, $6, $7, $8, 'starting', $9, $9 FROM unnest($1::text[]) id""",
        [new_id("inst") for _ in range(count - len(ids))],
        release.deployment_id,
        release.project_id,
        release.environment_id,
        release.environment,
        spec.type,
        spec.protocol,
        on_trial,
        clock.now(),
    )
    await _retire(tx, "id = ANY($3)", ids[count:], drain=True)


async def _retire(tx: Tx, condition: str, *values: Any, drain: bool) -> None:
    """What is being drained already is only hurried."""
    await tx.execute(
        f"""UPDATE instances SET retired_at = COALESCE(retired_at, $1), updated_at = $1,
                drain = $2 AND (retired_at IS NULL OR drain),
                status = CASE WHEN status IN ('crashed', 'stopped') THEN status ELSE 'stopping' END
            WHERE {condition} AND (retired_at IS NULL OR drain AND NOT $2) AND forgotten_at IS NULL""",  # noqa: S608
        clock.now(),
        drain,
        *values,
    )
    await changes.wake(tx, Wake.INSTANCES)


def _subject(row: ProcessRow) -> changes.Subject:
    return changes.Subject(
        type="process",
        id=row.id,
        name=row.type,
        team_id=row.team_id,
        project_id=row.project_id,
        environment=row.environment,
    )
