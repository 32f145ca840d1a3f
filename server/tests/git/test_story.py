"""What a push is told of a deployment that has nothing to build."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cygnid.core.db import begin
from cygnid.git.story import tell
from cygnid.resources.deployments import follow
from cygnid.resources.deployments.pushes import Outcome
from cygnid.resources.deployments.schemas import PushSource
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.access import platform_access
from cygnid.resources.repositories.schemas import NOTHING, RefUpdate
from tests.fakes.source import FakeRepository
from tests.make.api import Api
from tests.make.worker import Installation, installed


@dataclass
class _Told:
    """As much of the running process as telling needs."""

    pool: Any
    wakeups: Any
    stopping: asyncio.Event


async def push(site: Installation, project_id: str, sha: str) -> list[str]:
    """The lines for a push of this commit to main."""
    async with begin(site.api.pool) as tx:
        project = await projects.project(tx, project_id)
        environment = await projects.environment(tx, project_id, "production")
        assert project is not None
        assert environment is not None
        source = PushSource(branch="main", tag=None)
        row = await follow.deploy_head(tx, platform_access(project, environment), source, sha)
    lines: list[str] = []

    async def say(*more: str) -> None:
        lines.extend(more)

    update = RefUpdate(name="refs/heads/main", old=NOTHING, new=sha)
    services: Any = _Told(site.api.pool, site.backends.wakeups, asyncio.Event())
    await tell(services, project, [Outcome(update=update, environment="production", deployment=row)], say)
    return lines


async def test_a_push_that_changes_nothing_watched_says_why_and_how_to_build_it(api: Api) -> None:
    with tempfile.TemporaryDirectory(prefix="cygni-machine-") as folder:
        async with installed(api, Path(folder)) as site:
            owner = await api.owner()
            build = {"rootDir": "web", "watchPaths": ["web/"]}
            made = await site.project(owner, build=build)
            repository = FakeRepository()
            site.source.repositories[str(api.settings.repository(made["id"]))] = repository
            first = repository.commit({"web/index.html": "1"})
            said = await push(site, made["id"], first)
            assert "main → shop · production" in said
            assert said[-1].startswith("http://shop.localhost")
            said = await push(site, made["id"], repository.commit({"web/index.html": "1", "README.md": ""}))
            assert said[-2:] == [
                f"Not built: nothing in web/ has changed since {first[:12]}, which is live. What was pushed is stored.",
                "  Build it all the same:  cygni deploy --branch main --project shop",
            ]
            assert [line.split() for line in said if line.startswith("- ")] == [
                ["-", phase, "skipped"] for phase in ("Build", "Release", "Live")
            ]
