"""Projects whose environments run something, without the deployments that would make it so."""

from collections.abc import Sequence

from cygnid.build.base import ProcessPlan
from cygnid.core.access import ALL, TeamAccess
from cygnid.core.actors import SYSTEM
from cygnid.core.db import Pool, Tx, begin, read
from cygnid.core.ids import new_id
from cygnid.resources.instances import actions, queries
from cygnid.resources.instances.queries import InstanceRow
from cygnid.resources.instances.schemas import ReleaseSpec
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.actions import create_project
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow

SERVE = "exec python3 app.py"
WEB = ProcessPlan(type="web", command=SERVE)


async def make_project(pool: Pool, team_id: str, name: str = "shop", **others: object) -> ProjectRow:
    access = TeamAccess(actor=SYSTEM, team_id=team_id, permissions=ALL)
    async with begin(pool) as tx:
        return await create_project(tx, access, name=name, **others)  # type: ignore[arg-type]


async def environment_of(pool: Pool, project: ProjectRow, name: str = "production") -> EnvironmentRow:
    async with read(pool) as reader:
        found = await projects.environment(reader, project.id, name)
    assert found is not None
    return found


async def release_of(
    tx: Tx, project: ProjectRow, environment: EnvironmentRow, *, plans: Sequence[ProcessPlan] = (WEB,), **fields: object
) -> ReleaseSpec:
    """A new release with these processes; `fields`: others of ReleaseSpec."""
    values: dict[str, object] = {
        "deployment_id": new_id("dep"),
        "project_id": project.id,
        "environment_id": environment.id,
        "environment": environment.name,
        "kind": "release",
        "path": "/nowhere",
        "root": "",
        "mounts": [],
        "env": {},
        "fallback": None,
        "processes": await actions.process_specs(tx, project, environment, plans),
        **fields,
    }
    return ReleaseSpec(**values)  # type: ignore[arg-type]


async def instances_of(pool: Pool, deployment_id: str) -> Sequence[InstanceRow]:
    async with read(pool) as reader:
        return await queries.of_deployment(reader, deployment_id)
