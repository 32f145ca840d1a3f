"""What follows pushes that nobody took note of, and what they leave behind."""

import logging
from dataclasses import asdict
from datetime import timedelta

from cygnid.backends import Backends
from cygnid.core import clock
from cygnid.core.db import begin, read
from cygnid.core.reconcile import reconcile
from cygnid.resources.deployments import pushes
from cygnid.resources.projects import queries as projects
from cygnid.resources.repositories import actions, queries
from cygnid.resources.repositories.queries import PushRow
from cygnid.resources.repositories.schemas import NOTHING
from cygnid.source.base import SourceUnavailable

log = logging.getLogger("cygnid.git")
_USUAL = timedelta(seconds=15)
"""Within which a push that git has stored is taken note of by who received it."""
_LONGEST = timedelta(minutes=10)
"""What git has not stored by then, it never will."""
_LATELY = timedelta(hours=3)


@reconcile(on=[], minutes=0.25)
async def take_note_of_pushes(backends: Backends) -> None:
    """A crash between git and the database loses no deployment: what a push has changed is looked up in its repository,
    and follows as it would have."""
    async with read(backends.pool) as reader:
        rows = await queries.left_over(reader, clock.now() - _USUAL)
    for row in rows:
        try:
            await _take_note(backends, row)
        except SourceUnavailable:
            log.exception("the repository of %s cannot be read", row.project_id)


async def _take_note(backends: Backends, row: PushRow) -> None:
    stored = [
        update
        for update in row.updates
        if (await backends.repositories.head(row.project_id, update.name) or NOTHING) == update.new
    ]
    if len(stored) < len(row.updates) and clock.now() - row.begun_at < _LONGEST:
        return
    async with read(backends.pool) as reader:
        project = await projects.project(reader, row.project_id)
        wanted = [] if project is None else await pushes.wanted(reader, project, stored)
    commits = {}
    for sha in dict.fromkeys(wanted):
        if (found := await backends.repositories.commit(row.project_id, sha)) is not None:
            commits[sha] = pushes.commit_of(asdict(found))
    async with begin(backends.pool) as tx:
        if (push := await actions.take_push(tx, row.id)) is not None:
            await pushes.take_note(tx, push, stored, commits)


@reconcile(on=[], minutes=60)
async def pack_repositories(backends: Backends) -> None:
    """Those that were lately pushed to."""
    async with read(backends.pool) as reader:
        project_ids = await queries.pushed_to(reader, clock.now() - _LATELY)
    for project_id in project_ids:
        try:
            await backends.repositories.collect(project_id)
        except SourceUnavailable:
            log.exception("the repository of %s cannot be packed", project_id)
