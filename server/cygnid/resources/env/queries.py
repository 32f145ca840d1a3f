"""The tables `env_variables`, `env_versions`, `env_entries`, `env_pin_sets` and `env_pins`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, LiteralString

import msgspec

from cygnid.core.db import Read
from cygnid.core.filters import by_time, searched
from cygnid.core.paging import Listing, PageQuery, fetch, where
from cygnid.core.schemas import Page
from cygnid.core.secrets import Secrets
from cygnid.resources.env import values
from cygnid.resources.env.schemas import EnvQuery, EnvTarget, EnvType, EnvVariable, EnvVersion
from cygnid.resources.projects.queries import EnvironmentRow

PREVIEW = "preview"
"""The entry that covers every environment of this type; an environment's own name wins over it."""
MASKED_BYTES = 8
"""A shorter secret is not masked: it would be found in half of all lines."""


class VariableRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    project_id: str
    key: str
    type: EnvType
    target: EnvTarget
    comment: str | None
    version: int
    revision: int
    sealed: bytes
    environments: list[str]
    deployed_version: int | None
    pending: bool
    created_at: datetime
    updated_at: datetime
    created_by: str
    updated_by: str


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: int
    changed_by: str
    changed_at: datetime
    value_hash: str


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """A variable as a deployment sees it, in the clear."""

    key: str
    value: str
    type: EnvType


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """The version of a variable that counts in an environment."""

    key: str
    variable_id: str
    version: int


class SealedRow(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    type: EnvType
    sealed: bytes


_SELECT = """
    SELECT v.id, p.team_id, v.project_id, v.key, v.type, v.target, v.comment, v.version, v.revision, n.sealed,
        v.created_at, v.updated_at, v.created_by, v.updated_by,
        ARRAY(SELECT environment FROM env_entries WHERE variable_id = v.id ORDER BY environment) AS environments,
        runs.deployed_version, coalesce(runs.pending, false) AS pending
    FROM env_variables v
    JOIN projects p ON p.id = v.project_id
    JOIN env_versions n ON n.variable_id = v.id AND n.version = v.version
    CROSS JOIN LATERAL (
        SELECT min(pin.version) FILTER (WHERE pin.variable_id = v.id) AS deployed_version,
            bool_or(pin.variable_id IS DISTINCT FROM v.id OR pin.version <> v.version) AS pending
        FROM env_entries e
        JOIN environments t ON t.project_id = v.project_id AND t.deleted_at IS NULL
            AND t.current_deployment_id IS NOT NULL AND (t.name = e.environment
                OR (e.environment = 'preview' AND t.type = 'preview' AND NOT EXISTS (SELECT FROM env_entries own
                    WHERE own.project_id = v.project_id AND own.key = v.key AND own.environment = t.name)))
        LEFT JOIN env_pins pin ON pin.deployment_id = t.current_deployment_id AND pin.key = v.key
        WHERE e.variable_id = v.id) runs"""
_VARIABLES = Listing(
    select=_SELECT,
    sorts={"key": "key", "createdAt": "created_at", "updatedAt": "updated_at"},
    default="key",
)
_VERSIONS = Listing(
    select="""SELECT version::text AS id, version, changed_by, changed_at, value_hash FROM env_versions""",
    sorts={"version": "version"},
    default="-version",
)
_EFFECTIVE: LiteralString = """
    SELECT DISTINCT ON (e.key) e.key, e.variable_id, v.version
    FROM env_entries e JOIN env_variables v ON v.id = e.variable_id
    WHERE e.project_id = $1 AND (e.environment = $2 OR ($3 AND e.environment = 'preview'))
    ORDER BY e.key, e.environment = $2 DESC"""
_COVERS: LiteralString = """EXISTS (SELECT FROM env_entries e WHERE e.variable_id = v.id AND (e.environment = $1
    OR ($2 AND e.environment = 'preview' AND NOT EXISTS (SELECT FROM env_entries own
        WHERE own.project_id = v.project_id AND own.key = v.key AND own.environment = $1))))"""


async def variable(read: Read, variable_id: str) -> VariableRow | None:
    """A living one."""
    return await read.one(VariableRow, f"{_SELECT} WHERE v.deleted_at IS NULL AND v.id = $1", variable_id)


async def variables(
    read: Read, project_id: str, query: EnvQuery, environment: EnvironmentRow | None
) -> Page[VariableRow]:
    """`environment`: the one that `query.environment` names; None: it names none, or the entry `preview`."""
    conditions = [where("v.deleted_at IS NULL AND v.project_id = $1", project_id)]
    if query.environment is not None:
        is_preview = environment is not None and environment.type == PREVIEW
        conditions.append(where(_COVERS, query.environment, is_preview))
    if query.key is not None:
        conditions.append(where("v.key = $1", query.key))
    conditions += searched(query.search, "v.key")
    conditions += by_time(query, created="v.created_at", updated="v.updated_at")
    if query.type:
        conditions.append(where("v.type = ANY($1)", query.type))
    if query.pending is not None:
        conditions.append(where("coalesce(runs.pending, false) = $1", query.pending))
    return await fetch(read, VariableRow, _VARIABLES, query, conditions)


async def entries_of(read: Read, project_id: str, entry: str) -> Sequence[VariableRow]:
    """The variables that have exactly this entry."""
    return await read.all(
        VariableRow,
        f"""{_SELECT} WHERE v.deleted_at IS NULL AND v.project_id = $1
            AND EXISTS (SELECT FROM env_entries e WHERE e.variable_id = v.id AND e.environment = $2) ORDER BY v.key""",
        project_id,
        entry,
    )


async def versions(read: Read, variable_id: str, query: PageQuery) -> Page[EnvVersion]:
    page = await fetch(read, VersionRow, _VERSIONS, query, [where("variable_id = $1", variable_id)])
    items = [
        EnvVersion(version=row.version, changed_by=row.changed_by, changed_at=row.changed_at, value_hash=row.value_hash)
        for row in page.items
    ]
    return Page(items=items, pagination=page.pagination)


async def sealed_version(read: Read, variable_id: str, version: int) -> bytes | None:
    return await read.value(
        "SELECT sealed FROM env_versions WHERE variable_id = $1 AND version = $2", variable_id, version
    )


async def effective(read: Read, environment: EnvironmentRow) -> Sequence[Effective]:
    """What counts in the environment now, by key."""
    return await read.all(Effective, _EFFECTIVE, environment.project_id, environment.name, environment.type == PREVIEW)


async def values_in(
    read: Read, secrets: Secrets, project_id: str, entry: str, environment: EnvironmentRow | None
) -> Sequence[Pinned]:
    """What counts in an environment now, or what has the entry `preview`, in the clear, by key."""
    rows = await read.all(
        SealedRow,
        f"""SELECT found.key, n.type, n.sealed FROM ({_EFFECTIVE}) found
            JOIN env_versions n ON n.variable_id = found.variable_id AND n.version = found.version
            ORDER BY found.key""",  # noqa: S608  constants
        project_id,
        entry,
        environment is not None and environment.type == PREVIEW,
    )
    return [_pinned(secrets, row) for row in rows]


async def is_pending(read: Read, environment: EnvironmentRow) -> bool:
    """Whether a deployment of now would see other variables than the current one."""
    pinned = await pins(read, environment.current_deployment_id or "")
    return {row.key: row for row in pinned} != {row.key: row for row in await effective(read, environment)}


async def pins(read: Read, deployment_id: str) -> Sequence[Effective]:
    """What a deployment has pinned, by key."""
    return await read.all(
        Effective,
        "SELECT key, variable_id, version FROM env_pins WHERE deployment_id = $1 ORDER BY key",
        deployment_id,
    )


async def pinned(read: Read, secrets: Secrets, deployment_id: str, target: Literal["build", "runtime"]) -> list[Pinned]:
    """What a deployment has pinned for its build or for its processes, in the clear, by key."""
    rows = await read.all(
        SealedRow,
        """SELECT p.key, n.type, n.sealed FROM env_pins p
           JOIN env_versions n ON n.variable_id = p.variable_id AND n.version = p.version
           WHERE p.deployment_id = $1 AND n.target IN ($2, 'both') ORDER BY p.key""",
        deployment_id,
        target,
    )
    return [_pinned(secrets, row) for row in rows]


async def secret_values(read: Read, secrets: Secrets, project_id: str) -> frozenset[str]:
    """Every value of type secret or file that is kept, of any version, as a whole and by line; for masking."""
    rows = await read.all(
        SealedRow,
        """SELECT v.key, n.type, n.sealed FROM env_versions n JOIN env_variables v ON v.id = n.variable_id
           WHERE v.project_id = $1 AND n.type <> 'plain'""",
        project_id,
    )
    found: set[str] = set()
    for row in rows:
        value = values.clear(secrets, row.sealed)
        found.update(part for part in (value, *map(str.strip, value.splitlines())))
    return frozenset(value for value in found if len(value.encode()) >= MASKED_BYTES)


def shown(row: VariableRow, secrets: Secrets, *, readable: bool) -> EnvVariable:
    """On the wire. `readable`: the caller may read values; those of secrets and files are not shown even so."""
    fields = {name: getattr(row, name) for name in EnvVariable.__struct_fields__ if hasattr(row, name)}
    value = values.clear(secrets, row.sealed) if readable and row.type == "plain" else None
    return EnvVariable(**fields, value=value)


def _pinned(secrets: Secrets, row: SealedRow) -> Pinned:
    return Pinned(key=row.key, value=values.clear(secrets, row.sealed), type=row.type)
