"""What a deployment will see: the versions that are its own from then on, whatever changes afterwards."""

from collections.abc import Collection, Sequence

from cygnid.core.db import Read, Tx
from cygnid.core.schemas import Warning  # noqa: A004  the contract's name
from cygnid.resources.env import queries
from cygnid.resources.env.queries import Effective
from cygnid.resources.projects.queries import EnvironmentRow


async def pin(tx: Tx, environment: EnvironmentRow, deployment_id: str, *, like: str | None = None) -> list[Warning]:
    """Pin every variable that counts in the environment, once for each deployment: later calls change nothing.

    `like`: the deployment whose versions are taken again, except those of keys deleted since: a deleted secret never
    comes back. Returns one warning for each key that is then not what it is now.
    """
    # who deletes one waits until it is pinned, and so keeps it
    await tx.execute(
        "SELECT FROM env_variables WHERE project_id = $1 AND deleted_at IS NULL ORDER BY id FOR SHARE",
        environment.project_id,
    )
    chosen, warnings = await _choose(tx, environment, like)
    is_first = await tx.execute(
        "INSERT INTO env_pin_sets (deployment_id, environment_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        deployment_id,
        environment.id,
    )
    if is_first:
        await tx.copy(
            "env_pins",
            ("deployment_id", "key", "variable_id", "version"),
            [(deployment_id, row.key, row.variable_id, row.version) for row in chosen],
        )
    return warnings


async def pin_more(tx: Tx, environment: EnvironmentRow, deployment_id: str, keys: Collection[str]) -> None:
    """Pin also these, as they are now, unless they are pinned: what was made for the deployment after it began."""
    there = {row.key for row in await queries.pins(tx, deployment_id)}
    found = [row for row in await queries.effective(tx, environment) if row.key in keys and row.key not in there]
    await tx.copy(
        "env_pins",
        ("deployment_id", "key", "variable_id", "version"),
        [(deployment_id, row.key, row.variable_id, row.version) for row in found],
    )


async def differing(read: Read, environment: EnvironmentRow, like: str) -> list[Warning]:
    """The warnings that pinning like that deployment would give now."""
    return (await _choose(read, environment, like))[1]


async def _choose(
    read: Read, environment: EnvironmentRow, like: str | None
) -> tuple[Sequence[Effective], list[Warning]]:
    now = {row.key: row for row in await queries.effective(read, environment)}
    if like is None:
        return list(now.values()), []
    old = {row.key: row for row in await queries.pins(read, like)}
    living = await _living(read, [row.variable_id for row in old.values()])
    # a key that was deleted and made again has the value of now: the old one is gone
    chosen = {key: row if row.variable_id in living else now[key] for key, row in old.items() if key in now}
    warnings = [
        Warning(code="env_differs", message=_difference(key, chosen, now), path=f"env.{key}")
        for key in sorted(old.keys() | now.keys())
        if chosen.get(key) != now.get(key) or (key in old and key not in now)
    ]
    return list(chosen.values()), warnings


def _difference(key: str, chosen: dict[str, Effective], now: dict[str, Effective]) -> str:
    if key not in now:
        return f"{key} was deleted since and is not set."
    if key not in chosen:
        return f"{key} was added since and is not set."
    return f"{key} was changed since and has its old value."


async def _living(read: Read, variable_ids: Sequence[str]) -> frozenset[str]:
    found = await read.value(
        "SELECT array_agg(id) FROM env_variables WHERE id = ANY($1) AND deleted_at IS NULL", variable_ids
    )
    return frozenset(found or ())
