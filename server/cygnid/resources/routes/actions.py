"""What can happen to routes."""

from cygnid.core import changes, clock
from cygnid.core.changes import Wake
from cygnid.core.db import Tx
from cygnid.resources.instances import queries as instances
from cygnid.resources.instances.schemas import WEB
from cygnid.resources.projects import actions as projects
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow
from cygnid.settings import Settings


async def switch(
    tx: Tx, settings: Settings, project: ProjectRow, environment: EnvironmentRow, deployment_id: str | None
) -> int:
    """Let the environment serve this release (None: nothing), which `instances.actions.want` has stored. Returns the
    version to wait for: it is true once `queries.confirmed` is not lower, which `Wake.PUBLISHED` tells."""
    if deployment_id is None:
        await tx.execute("DELETE FROM routes WHERE environment_id = $1", environment.id)
        url = None
    else:
        release = await instances.release(tx, deployment_id)
        assert release is not None, deployment_id
        await tx.execute(
            """INSERT INTO routes (environment_id, deployment_id, switched_at) VALUES ($1, $2, $3)
               ON CONFLICT (environment_id) DO UPDATE
                   SET deployment_id = excluded.deployment_id, switched_at = excluded.switched_at""",
            environment.id,
            deployment_id,
            clock.now(),
        )
        serves = release.kind == "static" or release.process(WEB) is not None
        url = settings.url(project.name, environment.name) if serves else None
    await projects.set_url(tx, environment.id, url)
    version = await tx.value("UPDATE route_versions SET wanted = wanted + 1 RETURNING wanted")
    assert isinstance(version, int)
    await changes.wake(tx, Wake.ROUTES)
    return version


async def confirm(tx: Tx, version: int, digest: str) -> None:
    """The edge serves the routes of this digest, which are not older than this version."""
    await tx.execute(
        "UPDATE route_versions SET confirmed = GREATEST(confirmed, $1), confirmed_at = $2, digest = $3",
        version,
        clock.now(),
        digest,
    )
    await changes.wake(tx, Wake.PUBLISHED)
