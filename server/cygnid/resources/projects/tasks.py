"""What follows the deletion of a project or environment, once nobody can restore it any more."""

from datetime import timedelta

from cygnid.backends import Backends
from cygnid.core import clock
from cygnid.core.db import begin, read
from cygnid.core.reconcile import reconcile
from cygnid.resources.projects import actions, queries

_JUST_RESTORED = timedelta(minutes=1)
"""A restore that began in time has been committed by then: no transaction is idle for so long."""


@reconcile(on=[], minutes=60)
async def purge_deleted(backends: Backends) -> None:
    """Remove what is past its purgeAt: first the files, then the rows, so that a crash between leaves rows that say
    what is to be done again. Users of the machine are free for others only when no file of theirs is left."""
    before = clock.now() - _JUST_RESTORED
    async with read(backends.pool) as reader:
        projects = await queries.purgeable_projects(reader, before)
        of_projects = {project_id: await queries.all_environment_ids(reader, project_id) for project_id in projects}
    for project_id, environment_ids in of_projects.items():
        for environment_id in environment_ids:
            await backends.runtime.remove_environment(environment_id, term=backends.term())
        await backends.builder.remove_project(project_id)
        await backends.repositories.remove(project_id)
        async with begin(backends.pool) as tx:
            await actions.purge_project(tx, project_id)
    async with read(backends.pool) as reader:
        environments = await queries.purgeable_environments(reader, before)
    for project_id, environment_id in environments:
        await backends.runtime.remove_environment(environment_id, term=backends.term())
        await backends.builder.remove_environment(project_id, environment_id)
        async with begin(backends.pool) as tx:
            await actions.purge_environment(tx, environment_id)
