"""The tables `releases`, `processes` and `instances`."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cygnid.core.db import Read
from cygnid.core.paging import Condition, Listing, fetch, where
from cygnid.core.schemas import Page
from cygnid.resources.instances import specs
from cygnid.resources.instances.schemas import (
    WEB,
    EnvironmentQuery,
    ExitReason,
    HealthCheck,
    Instance,
    InstanceExit,
    InstanceQuery,
    InstanceStatus,
    Process,
    ProcessSpec,
    Protocol,
    ReleaseSpec,
    Scale,
)
from cygnid.resources.projects.queries import ProjectRow

_RELEASE = """deployment_id, project_id, environment_id, environment, kind, path, root, mounts, env, fallback,
    processes"""
_INSTANCE = """SELECT i.*, p.team_id, i.retired_at IS NULL AND p.status = 'active' AND e.deleted_at IS NULL AS wanted
    FROM instances i JOIN projects p ON p.id = i.project_id JOIN environments e ON e.id = i.environment_id"""
_PROCESS = """SELECT w.*, p.team_id, spec, (
        SELECT count(*) FROM instances i WHERE i.deployment_id = w.deployment_id AND i.process = w.type
            AND i.status = 'running') AS running_instances
    FROM processes w JOIN projects p ON p.id = w.project_id JOIN releases r ON r.deployment_id = w.deployment_id
    CROSS JOIN LATERAL jsonb_array_elements(r.processes) AS s (spec)"""
_OF_ITS_TYPE = "spec ->> 'type' = w.type"
_PROCESSES = Listing(select=_PROCESS, sorts={"type": "type", "createdAt": "created_at"}, default="type")
_INSTANCES = Listing(select=_INSTANCE, sorts={"createdAt": "created_at", "process": "process"})


class ProcessRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    project_id: str
    environment_id: str
    environment: str
    type: str
    deployment_id: str
    instances: int | None
    """What the API set; None: as the release says. So are `cpu` and `memory_mb`."""
    cpu: float | None
    memory_mb: int | None
    spec: ProcessSpec
    """What runs."""
    running_instances: int
    version: int
    created_at: datetime
    updated_at: datetime


class InstanceRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    project_id: str
    environment_id: str
    environment: str
    deployment_id: str
    process: str
    protocol: Protocol
    on_trial: bool
    wanted: bool
    """Shall run: not retired, its project neither paused nor deleted, its environment not deleted."""
    status: InstanceStatus
    host: str | None
    """Where it is reached; None: not started, or it has no port. So is `port`."""
    port: int | None
    node: str
    started_at: datetime | None
    restarts: int
    crashes: int
    retry_at: datetime | None
    ailing: bool
    exit_at: datetime | None
    exit_code: int | None
    exit_signal: str | None
    exit_reason: ExitReason | None
    """None: it has not ended yet."""
    message: str | None
    """Why it could not be started."""
    retired_at: datetime | None
    drain: bool
    left_routes_at: datetime | None
    forgotten_at: datetime | None
    created_at: datetime
    updated_at: datetime


class CheckedRow(InstanceRow, frozen=True, kw_only=True):
    project: str
    """Its name."""
    spec: ProcessSpec


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    deployment_id: str
    host: str
    port: int
    status: InstanceStatus


async def release(read: Read, deployment_id: str) -> ReleaseSpec | None:
    return await read.one(
        ReleaseSpec,
        f"SELECT {_RELEASE} FROM releases WHERE deployment_id = $1",  # noqa: S608  constant
        deployment_id,
    )


async def scales(read: Read, environment_id: str) -> dict[str, Scale]:
    """By process type, also of types that what is live does not have."""
    rows = await read.all(
        Scale, "SELECT type, instances, cpu, memory_mb FROM processes WHERE environment_id = $1", environment_id
    )
    return {row.type: row for row in rows}


async def process(read: Read, environment_id: str, type: str) -> ProcessRow | None:  # noqa: A002  the column's name
    """None: what is live in the environment has no such process."""
    return await read.one(
        ProcessRow, f"{_PROCESS} WHERE {_OF_ITS_TYPE} AND w.environment_id = $1 AND w.type = $2", environment_id, type
    )


async def processes(read: Read, environment_id: str, query: EnvironmentQuery) -> Page[ProcessRow]:
    return await fetch(
        read, ProcessRow, _PROCESSES, query, [where(_OF_ITS_TYPE), where("w.environment_id = $1", environment_id)]
    )


async def of_deployment(read: Read, deployment_id: str) -> Sequence[InstanceRow]:
    """Those that are wanted or would be if their project ran: not the retired ones. Oldest first."""
    return await read.all(
        InstanceRow, f"{_INSTANCE} WHERE i.deployment_id = $1 AND i.retired_at IS NULL ORDER BY i.id", deployment_id
    )


async def others_run(read: Read, environment_id: str, deployment_id: str) -> bool:
    """Whether an instance of another deployment is still on its way out of the environment."""
    return bool(
        await read.value(
            """SELECT EXISTS (SELECT FROM instances WHERE environment_id = $1 AND deployment_id <> $2
                   AND forgotten_at IS NULL AND status = 'stopping')""",
            environment_id,
            deployment_id,
        )
    )


async def live_processes(read: Read, environment_id: str) -> Sequence[ProcessRow]:
    """All of what is live in the environment."""
    return await read.all(ProcessRow, f"{_PROCESS} WHERE {_OF_ITS_TYPE} AND w.environment_id = $1", environment_id)


async def held(read: Read) -> Sequence[InstanceRow]:
    """Every instance of the installation of which something may be on the machine."""
    return await read.all(InstanceRow, f"{_INSTANCE} WHERE i.forgotten_at IS NULL ORDER BY i.id")


async def checked(read: Read) -> Sequence[CheckedRow]:
    """Every instance that is looked after by health checks: those on trial are their deployment's."""
    return await read.all(
        CheckedRow,
        f"""SELECT l.*, x.project, x.spec FROM ({_INSTANCE} WHERE i.forgotten_at IS NULL) l
            JOIN (SELECT r.deployment_id, p.name AS project, spec FROM releases r JOIN projects p ON p.id = r.project_id
                  CROSS JOIN LATERAL jsonb_array_elements(r.processes) AS s (spec)) x
                ON x.deployment_id = l.deployment_id AND x.spec ->> 'type' = l.process
            WHERE l.wanted AND NOT l.on_trial AND l.started_at IS NOT NULL AND NOT l.ailing
                AND l.status IN ('starting', 'running', 'unhealthy')""",  # noqa: S608  constant
    )


async def instance(read: Read, project_id: str, instance_id: str) -> InstanceRow | None:
    return await read.one(InstanceRow, f"{_INSTANCE} WHERE i.project_id = $1 AND i.id = $2", project_id, instance_id)


async def instances(read: Read, environment_id: str, query: InstanceQuery) -> Page[InstanceRow]:
    conditions: list[Condition] = [where("i.environment_id = $1", environment_id)]
    if query.process is not None:
        conditions.append(where("i.process = $1", query.process))
    if query.status is not None:
        conditions.append(where("i.status = ANY($1)", query.status))
    if query.deployment_id is not None:
        conditions.append(where("i.deployment_id = $1", query.deployment_id))
    return await fetch(read, InstanceRow, _INSTANCES, query, conditions)


async def endpoints(read: Read) -> dict[str, list[EndpointRow]]:
    """Where the web processes of the installation can be reached, by deployment; retired instances are left out."""
    rows = await read.all(
        EndpointRow,
        """SELECT deployment_id, host, port, status FROM instances
           WHERE process = $1 AND retired_at IS NULL AND forgotten_at IS NULL AND host IS NOT NULL
               AND status IN ('starting', 'running', 'unhealthy') ORDER BY id""",
        WEB,
    )
    found: dict[str, list[EndpointRow]] = {}
    for row in rows:
        found.setdefault(row.deployment_id, []).append(row)
    return found


async def leaving(read: Read) -> list[str]:
    """Retired instances of which the edge has not confirmed yet that it sends them nothing more. To be asked before
    `endpoints`: what that answers then has none of them."""
    found: list[str] | None = await read.value(
        """SELECT array_agg(id) FROM instances
           WHERE retired_at IS NOT NULL AND left_routes_at IS NULL AND forgotten_at IS NULL"""
    )
    return found or []


def shown_process(row: ProcessRow, project: ProjectRow) -> Process:
    spec, check = row.spec, row.spec.health_check
    named = next((process for process in project.processes if process.type == row.type), None)
    scale = Scale(type=row.type, instances=row.instances, cpu=row.cpu, memory_mb=row.memory_mb)
    return Process(
        id=row.id,
        team_id=row.team_id,
        project_id=row.project_id,
        environment=row.environment,
        type=row.type,
        command=spec.command,
        port=spec.port or None,
        protocol=spec.protocol,
        keep_alive_seconds=spec.keep_alive_seconds,
        instances=specs.first(row.instances, spec.instances),
        running_instances=row.running_instances,
        cpu=specs.first(row.cpu, spec.cpu),
        memory_mb=specs.first(row.memory_mb, spec.memory_mb),
        health_check=check and HealthCheck(**msgspec.structs.asdict(check)),
        pending=specs.is_pending(spec, named, scale),
        created_at=row.created_at,
        updated_at=row.updated_at,
        created_by="system",
    )


def shown_instance(row: InstanceRow) -> Instance:
    last_exit = None
    if row.exit_at is not None and row.exit_reason is not None:
        last_exit = InstanceExit(
            at=row.exit_at, exit_code=row.exit_code, signal=row.exit_signal, reason=row.exit_reason
        )
    return Instance(
        id=row.id,
        team_id=row.team_id,
        project_id=row.project_id,
        environment=row.environment,
        process=row.process,
        deployment_id=row.deployment_id,
        status=row.status,
        node=row.node,
        restarts=row.restarts,
        started_at=row.started_at,
        last_exit=last_exit,
        created_at=row.created_at,
        updated_at=row.updated_at,
        created_by="system",
    )
