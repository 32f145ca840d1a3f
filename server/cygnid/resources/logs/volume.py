"""How much of what is written is stored: as many bytes a day as the plans of the teams have."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from cygnid.core import quotas
from cygnid.core.actors import SYSTEM
from cygnid.core.db import Tx
from cygnid.core.plans import PLANS
from cygnid.resources.logs.batch import Line


class _Owner(msgspec.Struct, frozen=True, kw_only=True):
    project_id: str
    team_id: str
    plan: str


async def within(tx: Tx, lines: Sequence[Line]) -> tuple[set[int], list[Line]]:
    """The places of the lines that are to be stored, which count from now on, and what there is to say of the others.
    From the first that a team has no room for, its lines of the day are dropped; the project that wrote it is told,
    once. What the platform says is no part of it."""
    owners = {
        owner.project_id: owner
        for owner in await tx.all(
            _Owner,
            """SELECT p.id AS project_id, p.team_id, t.plan FROM projects p JOIN teams t ON t.id = p.team_id
               WHERE p.id = ANY($1)""",
            sorted({line.project_id for line in lines}),
        )
    }
    teams = {owner.team_id: PLANS[owner.plan].quotas.get("logBytes") for owner in owners.values()}
    left = {
        team_id: most - await quotas.used(tx, team_id, "logBytes")
        for team_id, most in sorted(teams.items())
        if most is not None
    }
    kept: set[int] = set()
    taken = Counter[str]()
    full: dict[str, Line] = {}
    for place, line in enumerate(lines):
        owner = owners.get(line.project_id)
        if owner is None or line.source == "system":
            kept.add(place)
            continue
        size = _bytes(line)
        if owner.team_id in full:
            continue
        if size > left.get(owner.team_id, size):
            full[owner.team_id] = line
            taken[owner.team_id] += max(0, left[owner.team_id])
            continue
        kept.add(place)
        taken[owner.team_id] += size
        if owner.team_id in left:
            left[owner.team_id] -= size
    for team_id, size in sorted(taken.items()):
        await quotas.add(tx, team_id, "logBytes", size)
    told = [await _told(tx, team_id, line, teams[team_id] or 0) for team_id, line in full.items()]
    return kept, [line for line in told if line is not None]


async def _told(tx: Tx, team_id: str, line: Line, most: int) -> Line | None:
    error = quotas.exceeded(team_id, "logBytes", most, await quotas.used(tx, team_id, "logBytes"))
    if not await quotas.tell(tx, SYSTEM, error):
        return None
    return Line(
        at_ms=None,
        project_id=line.project_id,
        environment=line.environment,
        source="system",
        level="warn",
        stream=None,
        message=f"{error.message} What is written from here on is dropped. {error.hint}",
        truncated=False,
    )


def _bytes(line: Line) -> int:
    return len(line.message.encode()) + len(line.request or "")
