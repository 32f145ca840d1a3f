"""Who waits for what, and until when: the queue of each environment and that of the machine's builds."""

import heapq
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from cygnid.core import clock, quotas
from cygnid.core.db import Read, Tx

_NEVER = datetime.min.replace(tzinfo=UTC)
_OVERRUN = 10
"""What runs longer than usual is taken to run a tenth of the usual time more."""


class Unended(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that waits or runs."""

    id: str
    project_id: str
    environment_id: str
    is_queued: bool
    builds: bool
    """It waits for a place to build in, or holds one. What takes an artifact that is there needs none."""
    started_at: datetime | None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Of one that waits."""

    position: int
    """1: the next of its queue. With no place to build in free, so many builds end before it begins."""
    start_at: datetime | None
    """None: nobody knows, since nothing like it has ended yet. Not later than now: it begins at once."""
    may_start: bool


def order(
    unended: Sequence[Unended],
    *,
    slots: int,
    builds: Mapping[str, timedelta],
    builds_usually: timedelta | None,
    deployments: Mapping[str, timedelta],
    served: Mapping[str, datetime],
    now: datetime,
) -> dict[str, Place]:
    """Deployment → place, of all that wait. `slots`: builds at once. `builds`: project → how long its builds take,
    `builds_usually`: those of projects that have none yet. `deployments`: environment → how long one holds it.
    `served`: project → when it last began to build.

    Projects take turns: who has fewer builds running or waiting before it goes first, then whose project has waited
    longer for its turn, then who came first."""
    running = [each for each in unended if not each.is_queued]
    building = [each for each in running if each.builds]
    free_at = {each.environment_id: _end(each, deployments.get(each.environment_id), now) for each in running}
    turns = Counter(each.project_id for each in building)
    waiting: list[tuple[int, datetime, str, Unended]] = []
    for each in sorted((each for each in unended if each.is_queued and each.builds), key=lambda each: each.id):
        waiting.append((turns[each.project_id], served.get(each.project_id, _NEVER), each.id, each))
        turns[each.project_id] += 1
    waiting.sort(key=lambda item: item[:3])

    def usual(project_id: str) -> timedelta | None:
        return builds.get(project_id, builds_usually)

    ends = [_seconds(_end(each, usual(each.project_id), now), now) for each in building]
    ends += [0.0] * (slots - len(building))
    heapq.heapify(ends)
    free, before = slots - len(building), 0
    found: dict[str, Place] = {}
    for *_, each in waiting:
        is_held = each.environment_id in free_at
        start = ends[0] if ends else 0.0
        if is_held:
            start = max(start, _seconds(free_at[each.environment_id], now))
        found[each.id] = Place(position=before + 1, start_at=_at(start, now), may_start=not is_held and before < free)
        if not is_held:
            before += 1
            length = usual(each.project_id)
            heapq.heapreplace(ends, start + (float("inf") if length is None else length.total_seconds()))
    for each in unended:
        if each.is_queued and not each.builds:
            is_held = each.environment_id in free_at
            found[each.id] = Place(
                position=1, start_at=free_at[each.environment_id] if is_held else now, may_start=not is_held
            )
    return found


def _end(each: Unended, usual: timedelta | None, now: datetime) -> datetime | None:
    if usual is None or each.started_at is None:
        return None
    return max(each.started_at + usual, now + usual / _OVERRUN)


def _seconds(end: datetime | None, now: datetime) -> float:
    return float("inf") if end is None else (end - now).total_seconds()


def _at(seconds: float, now: datetime) -> datetime | None:
    return None if seconds == float("inf") else now + timedelta(seconds=seconds)


async def places(read: Read) -> dict[str, Place]:
    """Deployment → place, of all that wait in this installation."""
    unended = await read.all(
        Unended,
        """SELECT id, project_id, environment_id, status = 'queued' AS is_queued, started_at,
               digest IS NULL AND status IN ('queued', 'building') AS builds
           FROM deployments WHERE finished_at IS NULL AND status <> 'awaitingApproval'""",
    )
    projects = sorted({each.project_id for each in unended if each.builds})
    builds = await read.all(
        _Usual,
        """SELECT wanted.of, percentile_disc(0.5) WITHIN GROUP (ORDER BY took) AS took
           FROM unnest($1::text[]) AS wanted (of), LATERAL (
               SELECT built_at - started_at AS took FROM deployments
               WHERE project_id = wanted.of AND built_at IS NOT NULL ORDER BY built_at DESC LIMIT 10) last
           GROUP BY wanted.of""",
        projects,
    )
    served = await read.all(
        _Served,
        """SELECT wanted.of, last.at FROM unnest($1::text[]) AS wanted (of), LATERAL (
               SELECT max(started_at) AS at FROM (
                   SELECT started_at FROM deployments WHERE project_id = wanted.of AND type IN ('deploy', 'redeploy')
                   ORDER BY created_at DESC LIMIT 50) newest) last
           WHERE last.at IS NOT NULL""",
        projects,
    )
    deployments = await read.all(
        _Usual,
        """SELECT wanted.of, percentile_disc(0.5) WITHIN GROUP (ORDER BY took) AS took
           FROM unnest($1::text[]) AS wanted (of), LATERAL (
               SELECT finished_at - started_at AS took FROM deployments
               WHERE environment_id = wanted.of AND status = 'success' ORDER BY id DESC LIMIT 10) last
           GROUP BY wanted.of""",
        sorted({each.environment_id for each in unended if not each.is_queued}),
    )
    usually: timedelta | None = await read.value(
        """SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY built_at - started_at) FROM (
               SELECT built_at, started_at FROM deployments WHERE built_at IS NOT NULL
               ORDER BY id DESC LIMIT 50) last"""
    )
    return order(
        unended,
        slots=await slots(read),
        builds={each.of: each.took for each in builds},
        builds_usually=usually,
        deployments={each.of: each.took for each in deployments},
        served={each.of: each.at for each in served},
        now=clock.now(),
    )


class _Usual(msgspec.Struct, frozen=True, kw_only=True):
    of: str
    took: timedelta


class _Served(msgspec.Struct, frozen=True, kw_only=True):
    of: str
    at: datetime


async def slots(read: Read) -> int:
    """How many builds run at once, as the worker has said."""
    found: str | None = await read.value("SELECT value FROM installation WHERE name = 'build_slots'")
    return int(found or 1)


async def say_slots(tx: Tx, number: int) -> None:
    """Nothing, if that is known."""
    await tx.execute(
        """INSERT INTO installation (name, value) VALUES ('build_slots', $1)
           ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE installation.value <> excluded.value""",
        str(number),
    )


async def may_build(tx: Tx, deployment_id: str) -> bool:
    """Whether it is its turn and a place is free, which is then its own: nobody else is told so before this transaction
    ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('build slots'))")
    place = (await places(tx)).get(deployment_id)
    return place is not None and place.may_start


async def lock_quotas(tx: Tx, team_id: str) -> None:
    """For whoever locks the environment before it makes the deployment: what belongs to the team is locked first."""
    await quotas.lock(tx, team_id, "deploymentsPerDay")


async def require_quotas(tx: Tx, team_id: str, *, builds: bool) -> None:
    """That the team may make one more deployment today, and one that builds this month. Raises QuotaExceeded."""
    await quotas.require(tx, team_id, "deploymentsPerDay", made_today)
    if builds:
        await require_build_minutes(tx, team_id)


async def require_build_minutes(read: Read, team_id: str) -> None:
    """That a build may begin; what it takes is known once it has ended. Raises QuotaExceeded."""
    most = await quotas.limit(read, team_id, "buildMinutes")
    if most is not None and (used := await build_minutes(read, team_id)) >= most:
        raise quotas.exceeded(team_id, "buildMinutes", most, used)


async def made_today(read: Read, team_id: str) -> int:
    """Those of the projects that the team has now."""
    return await read.value(
        """SELECT count(*) FROM projects p JOIN deployments d ON d.project_id = p.id
           WHERE p.team_id = $1 AND d.created_at >= $2""",
        team_id,
        quotas.window("deploymentsPerDay", clock.now()).starts_at,
    )


async def build_minutes(read: Read, team_id: str) -> int:
    """Whole minutes of this month, of the builds that have ended."""
    return await quotas.used(read, team_id, "buildMinutes") // 60


async def add_build(tx: Tx, team_id: str, started_at: datetime) -> None:
    """A build that began then has ended, well or not."""
    seconds = math.ceil(max(timedelta(), clock.now() - started_at).total_seconds())
    await quotas.add(tx, team_id, "buildMinutes", seconds)
