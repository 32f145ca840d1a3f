"""The tables `deployments`, `deployment_events` and `artifacts`."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from cygnid.build.base import Plan
from cygnid.core.db import Read
from cygnid.core.filters import by_time, chosen, labels, searched
from cygnid.core.paging import Condition, Listing, PageQuery, fetch, where
from cygnid.core.schemas import Page
from cygnid.resources.deployments import queue
from cygnid.resources.deployments.queue import Place
from cygnid.resources.deployments.schemas import (
    RUNNING,
    Approval,
    Commit,
    Deployment,
    DeploymentArtifact,
    DeploymentEvent,
    DeploymentFailure,
    DeploymentQuery,
    DeploymentSource,
    DeploymentStep,
    OtherDeployment,
    Status,
    StepName,
    Strategy,
    Trigger,
    Type,
)
from cygnid.resources.teams.queries import Parts, in_parts

_SELECT = """SELECT d.id, p.team_id, d.project_id, d.environment_id, d.environment, d.type, d.trigger, d.status,
        d.strategy, d.message, d.labels, d.source, d.commit_sha, d.commit, d.upload_id, d.digest, d.nonce, d.env_like,
        d.previous_id, d.steps, d.failure, d.released_attempt, d.was_live, d.cancel_requested_at, d.started_at,
        d.finished_at, d.attempt, d.lease_expires_at, d.version, d.created_at, d.updated_at, d.created_by, e.url,
        e.current_deployment_id IS NOT DISTINCT FROM d.id AS is_current,
        d.approvals_required, CASE WHEN d.approvals_required = 0 THEN '[]' ELSE (
            SELECT coalesce(jsonb_agg(jsonb_build_object('userId', o.user_id, 'comment', o.comment, 'at', o.at)
                ORDER BY o.at), '[]') FROM approvals o WHERE o.deployment_id = d.id) END AS approvals,
        a.kind AS artifact_kind, a.size_bytes AS artifact_size_bytes, a.pruned_at,
        b.id AS blocked_by_id
    FROM deployments d JOIN projects p ON p.id = d.project_id JOIN environments e ON e.id = d.environment_id
    LEFT JOIN artifacts a ON a.project_id = d.project_id AND a.digest = d.digest
    LEFT JOIN deployments b ON d.status = 'queued' AND b.environment_id = d.environment_id
        AND b.status IN ('building', 'releasing', 'deploying', 'verifying')"""
_EVENTS = Listing(
    select="SELECT number AS id, at, step, status, message FROM deployment_events", sorts={"at": "id"}, default="at"
)
_LISTING = Listing(select=_SELECT, sorts={"createdAt": "created_at", "updatedAt": "updated_at"})


class DeploymentRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    project_id: str
    environment_id: str
    environment: str
    type: Type
    trigger: Trigger
    status: Status
    strategy: Strategy
    message: str | None
    labels: dict[str, str]
    source: DeploymentSource
    commit_sha: str | None
    """What is built; None: whatever its branch or tag is when it is fetched."""
    commit: Commit | None
    upload_id: str | None
    digest: str | None
    nonce: str
    env_like: str | None
    previous_id: str | None
    steps: list[DeploymentStep]
    failure: DeploymentFailure | None
    released_attempt: int | None
    approvals_required: int
    approvals: list[Approval]
    was_live: bool
    cancel_requested_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    lease_expires_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str
    url: str | None
    is_current: bool
    artifact_kind: Literal["release", "static"] | None
    artifact_size_bytes: int | None
    pruned_at: datetime | None
    blocked_by_id: str | None
    place: Place | None = None
    """Of one that is queued."""


class ArtifactRow(msgspec.Struct, frozen=True, kw_only=True):
    project_id: str
    digest: str
    kind: Literal["release", "static"]
    path: str
    size_bytes: int
    plan: Any
    mounts: list[tuple[str, str]]
    env: dict[str, str]
    pruned_at: datetime | None

    def decided(self) -> Plan:
        """What detection decided, as the builder said it."""
        return msgspec.convert(self.plan, Plan, dec_hook=lambda kind, value: kind(value))


class _EventRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    at: datetime
    step: StepName | None
    status: Status
    message: str


class PrunableRow(msgspec.Struct, frozen=True, kw_only=True):
    project_id: str
    digest: str


def plan_to_json(plan: Plan) -> Any:
    return msgspec.to_builtins(plan, enc_hook=_text)


def _text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


async def deployment(read: Read, deployment_id: str) -> DeploymentRow | None:
    row = await read.one(DeploymentRow, f"{_SELECT} WHERE d.id = $1 AND d.removed_at IS NULL", deployment_id)
    return None if row is None else (await _placed(read, [row]))[0]


async def origin(read: Read, row: DeploymentRow) -> DeploymentRow | None:
    """The deployment that its artifact was made by, however often that was released since; None: it was deleted."""
    found: DeploymentRow | None = row
    while found is not None and isinstance(found.source, OtherDeployment):
        found = await deployment(read, found.source.deployment_id)
    return found


async def deployments(read: Read, query: DeploymentQuery, conditions: Sequence[Condition]) -> Page[DeploymentRow]:
    page = await fetch(
        read, DeploymentRow, _LISTING, query, [where("d.removed_at IS NULL"), *conditions, *_matching(query)]
    )
    return Page(items=await _placed(read, page.items), pagination=page.pagination)


async def _placed(read: Read, rows: list[DeploymentRow]) -> list[DeploymentRow]:
    if all(row.status != "queued" for row in rows):
        return rows
    found = await queue.places(read)
    return [msgspec.structs.replace(row, place=found.get(row.id)) for row in rows]


def of_project(project_id: str, environment: str | None) -> Condition:
    if environment is None:
        return where("d.project_id = $1", project_id)
    return where("d.project_id = $1 AND d.environment = $2", project_id, environment)


def of_parts(parts: Parts) -> Condition:
    return in_parts(parts, team="p.team_id = ANY($1)", project="d.project_id", environment="d.environment")


def _matching(query: DeploymentQuery) -> list[Condition]:
    found = [
        *by_time(query, created="d.created_at", updated="d.updated_at"),
        *chosen("d.status", query.status, query.status_ne),
        *chosen("d.type", query.type),
        *chosen("d.trigger", query.trigger),
        *chosen("d.created_by", query.created_by),
        *labels(query.label, "d.labels"),
        *searched(query.search, "d.message"),
    ]
    if query.environment is not None:
        found.append(where("d.environment = $1", query.environment))
    if query.branch is not None:
        found.append(where("d.source ->> 'branch' = $1", query.branch))
    if query.commit_sha is not None:
        # as a range, which the index knows: "g" comes after every hexadecimal digit
        found.append(where("d.commit_sha >= $1 AND d.commit_sha < $2", query.commit_sha, f"{query.commit_sha}g"))
    return found


async def before(read: Read, environment_id: str, current: DeploymentRow | None) -> DeploymentRow | None:
    """The newest older than what is current that was live and whose artifact is kept. When what is current was only
    restarted, its own artifact is not what somebody wants back."""
    return await read.one(
        DeploymentRow,
        f"""{_SELECT} WHERE d.environment_id = $1 AND d.was_live AND d.removed_at IS NULL AND a.pruned_at IS NULL
            AND ($2::text IS NULL OR d.id < $2) AND ($3::text IS NULL OR d.digest <> $3)
            ORDER BY d.id DESC LIMIT 1""",
        environment_id,
        current and current.id,
        current.digest if current and current.type == "restart" else None,
    )


async def artifact(read: Read, project_id: str, digest: str) -> ArtifactRow | None:
    return await read.one(
        ArtifactRow,
        """SELECT project_id, digest, kind, path, size_bytes, plan, mounts, env, pruned_at FROM artifacts
           WHERE project_id = $1 AND digest = $2""",
        project_id,
        digest,
    )


async def running(read: Read, environment_id: str) -> str | None:
    """The deployment that holds the environment."""
    found: str | None = await read.value(
        "SELECT id FROM deployments WHERE environment_id = $1 AND status = ANY($2)", environment_id, list(RUNNING)
    )
    return found


async def events(read: Read, deployment_id: str, query: PageQuery) -> Page[DeploymentEvent]:
    page = await fetch(read, _EventRow, _EVENTS, query, [where("deployment_id = $1", deployment_id)])
    return Page(
        items=[DeploymentEvent(at=row.at, step=row.step, status=row.status, message=row.message) for row in page.items],
        pagination=page.pagination,
    )


async def following(read: Read) -> list[str]:
    """The projects of which some environment follows a branch of their git source."""
    found: list[str] = await read.value(
        """SELECT coalesce(array_agg(p.id), '{}') FROM projects p
           WHERE p.status = 'active' AND p.source IS NOT NULL AND EXISTS (
               SELECT FROM environments e WHERE e.project_id = p.id AND e.deleted_at IS NULL AND e.auto_deploy
                   AND (e.branch IS NOT NULL OR e.name = 'production'))"""
    )
    return found


async def is_resolving(read: Read, environment_id: str, branch: str | None) -> bool:
    """Whether a deployment of this branch has yet to find out which commit it is of."""
    return await read.value(
        """SELECT EXISTS (SELECT FROM deployments WHERE environment_id = $1 AND finished_at IS NULL
               AND commit_sha IS NULL AND source ->> 'type' = 'git' AND source ->> 'branch' = $2)""",
        environment_id,
        branch,
    )


async def is_pruning(read: Read, project_id: str) -> bool:
    """Whether an artifact of the project is on its way from the disk: a build might find half of it. One that cannot be
    removed is not waited for."""
    return await read.value(
        """SELECT EXISTS (SELECT FROM artifacts WHERE project_id = $1 AND removed_at IS NULL
               AND pruned_at > now() - interval '5 minutes')""",
        project_id,
    )


async def needless_uploads(read: Read, *, days: int) -> list[str]:
    """Those that a deployment held and none will take again: each has ended, its artifact is gone, or it made none and
    is older than `days`."""
    found: list[str] = await read.value(
        """SELECT coalesce(array_agg(u.id), '{}') FROM uploads u
           WHERE u.used_at IS NOT NULL AND NOT EXISTS (
               SELECT FROM deployments d
               LEFT JOIN artifacts a ON a.project_id = d.project_id AND a.digest = d.digest AND a.pruned_at IS NULL
               WHERE d.upload_id = u.id AND d.removed_at IS NULL AND (d.finished_at IS NULL OR a.digest IS NOT NULL
                   OR d.digest IS NULL AND d.finished_at > now() - make_interval(days => $1)))""",
        days,
    )
    return found


async def attempts_under_way(read: Read, deployment_ids: list[str]) -> frozenset[str]:
    """`<id>.<attempt>` of those of these deployments that have not ended."""
    found: list[str] = await read.value(
        """SELECT coalesce(array_agg(id || '.' || attempt), '{}') FROM deployments
           WHERE id = ANY($1) AND finished_at IS NULL""",
        deployment_ids,
    )
    return frozenset(found)


async def artifacts_on_disk(read: Read) -> frozenset[tuple[str, str]]:
    """(project, digest) of all that were not removed."""
    rows = await read.all(PrunableRow, "SELECT project_id, digest FROM artifacts WHERE removed_at IS NULL")
    return frozenset((row.project_id, row.digest) for row in rows)


async def is_building(read: Read, project_id: str) -> bool:
    return await read.value(
        "SELECT EXISTS (SELECT FROM deployments WHERE project_id = $1 AND status = 'building')", project_id
    )


async def prunable(read: Read, *, keep: int, days: int, project_id: str | None = None) -> Sequence[PrunableRow]:
    """Artifacts (of the project) that no environment serves, no deployment under way takes and no instance runs, and
    that are neither among the `keep` last that were live in an environment nor, having never been live, younger than
    `days`. Also those that were pruned and may still be on the disk."""
    return await read.all(
        PrunableRow,
        """WITH live AS (
               SELECT project_id, digest, rank() OVER (PARTITION BY environment_id ORDER BY last DESC) AS place
               FROM (SELECT project_id, environment_id, digest, max(id) AS last FROM deployments
                     WHERE was_live AND removed_at IS NULL GROUP BY project_id, environment_id, digest) newest)
           SELECT a.project_id, a.digest FROM artifacts a
           WHERE ($3::text IS NULL OR a.project_id = $3) AND a.removed_at IS NULL AND (a.pruned_at IS NOT NULL OR (
               NOT EXISTS (SELECT FROM deployments d JOIN environments e ON e.id = d.environment_id
                   WHERE d.project_id = a.project_id AND d.digest = a.digest
                       AND (e.current_deployment_id = d.id OR d.finished_at IS NULL))
               AND NOT EXISTS (SELECT FROM releases r JOIN instances i ON i.deployment_id = r.deployment_id
                   WHERE r.project_id = a.project_id AND r.path = a.path AND i.forgotten_at IS NULL)
               AND NOT EXISTS (SELECT FROM live l
                   WHERE l.project_id = a.project_id AND l.digest = a.digest AND l.place <= $1)
               AND (EXISTS (SELECT FROM live l WHERE l.project_id = a.project_id AND l.digest = a.digest)
                   OR NOT EXISTS (SELECT FROM deployments d WHERE d.project_id = a.project_id AND d.digest = a.digest
                       AND d.removed_at IS NULL AND d.finished_at >= now() - make_interval(days => $2)))))
           ORDER BY a.project_id, a.digest""",
        keep,
        days,
        project_id,
    )


def shown(row: DeploymentRow) -> Deployment:
    ended = row.finished_at is not None
    duration = (row.finished_at - row.started_at) if row.finished_at and row.started_at else None
    start = row.place and row.place.start_at
    if row.place is not None and row.place.may_start:
        start = row.created_at
    artifact = None
    if row.artifact_kind is not None and row.digest is not None and row.artifact_size_bytes is not None:
        artifact = DeploymentArtifact(
            kind=row.artifact_kind, digest=row.digest, size_bytes=row.artifact_size_bytes, pruned_at=row.pruned_at
        )
    return Deployment(
        id=row.id,
        team_id=row.team_id,
        project_id=row.project_id,
        environment=row.environment,
        type=row.type,
        trigger=row.trigger,
        status=row.status,
        source=row.source,
        commit=row.commit,
        artifact=artifact,
        strategy=row.strategy,
        message=row.message,
        labels=row.labels,
        steps=row.steps,
        approvals=row.approvals,
        approvals_required=row.approvals_required,
        failure=row.failure,
        url=row.url,
        is_current=row.is_current,
        rollbackable=row.was_live and artifact is not None and row.pruned_at is None,
        previous_id=row.previous_id,
        queue_position=row.place and row.place.position,
        estimated_start_at=start,
        blocked_by_id=row.blocked_by_id,
        cancel_requested_at=row.cancel_requested_at,
        lease_expires_at=None if ended or row.status == "queued" else row.lease_expires_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        duration_ms=None if duration is None else round(duration.total_seconds() * 1000),
        created_at=row.created_at,
        updated_at=row.updated_at,
        created_by=row.created_by,
    )
