"""What builds have left on the machine and nobody comes back for: a worker was lost, and its deployment ended without
it, or was purged with its project."""

import asyncio
import shutil
from collections import defaultdict
from pathlib import Path

from cygnid.backends import Backends
from cygnid.build.base import Inventory
from cygnid.core.db import begin, read
from cygnid.core.reconcile import reconcile
from cygnid.resources.deployments import progress, queries
from cygnid.resources.deployments.steps import source
from cygnid.resources.projects import queries as projects


@reconcile(on=(), minutes=10)
async def sweep_builds(backends: Backends) -> None:
    """End and remove what belongs to no attempt that is under way, and artifacts that no row tells of. The disk is
    looked at first: whatever is found there has a row that was stored before it."""
    inventory = await backends.builder.inventory()
    trees = {path.name: path for path in await asyncio.to_thread(_in, source.trees(backends.settings))}
    names = sorted(inventory.builds | trees.keys())
    async with read(backends.pool) as reader:
        under_way = await queries.attempts_under_way(reader, [name.rpartition(".")[0] for name in names])
    for name in names:
        if name in under_way:
            continue
        if name in inventory.builds:
            await backends.builder.kill(name)
        if (tree := trees.get(name)) is not None:
            await backends.source.kill(tree)
            await asyncio.to_thread(shutil.rmtree, tree, ignore_errors=True)
    await _sweep_artifacts(backends, inventory)


async def _sweep_artifacts(backends: Backends, inventory: Inventory) -> None:
    async with read(backends.pool) as reader:
        unknown = inventory.artifacts - await queries.artifacts_on_disk(reader)
        found = defaultdict[str, list[str]](list)
        for project_id, digest in unknown:
            found[project_id].append(digest)
        purged = [project_id for project_id in found if await projects.project(reader, project_id) is None]
    for project_id in purged:
        await backends.builder.remove_project(project_id)
    for project_id in found.keys() - set(purged):
        async with begin(backends.pool) as tx:
            digests = await progress.prune_unknown(tx, project_id, found[project_id])
        for digest in digests:
            await backends.builder.remove(project_id, digest)
            async with begin(backends.pool) as tx:
                await progress.note_removed(tx, project_id, digest)


def _in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []
