"""What builds leave when their worker is lost and nobody comes back for it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cygni import AsyncCygniClient
from cygnid.build.base import Artifact, BuildRequest
from cygnid.resources.deployments.left_over import sweep_builds
from tests.fakes.builder import FakeBuilder
from tests.make.stage import LIMIT, until
from tests.make.worker import WEB, Installation


class Publishing(FakeBuilder):
    """It stops between what it has published and the end of the build."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.published, self.go_on = asyncio.Event(), asyncio.Event()

    async def build(self, request: BuildRequest) -> Artifact:
        artifact = await super().build(request)
        self.published.set()
        await self.go_on.wait()
        return artifact


@pytest.fixture
async def builder(site: Installation) -> Publishing:
    """Of the workers that are started from now on."""
    made = Publishing(site.api.settings.home)
    site.backends = replace(site.backends, builder=made)
    for worker in site.workers:
        await worker.stop()
    await site.worker()
    return made


def artifacts(site: Installation) -> list[str]:
    return sorted(path.name for path in (site.api.settings.home / "artifacts").glob("*/*"))


async def test_an_artifact_that_no_row_tells_of_goes(
    site: Installation, ada: AsyncCygniClient, builder: Publishing
) -> None:
    await site.project(ada)
    builder.go_on.set()
    live = await site.live(ada)
    kept = artifacts(site)
    builder.go_on.clear()
    builder.published.clear()
    deployment_id = await site.deploy(ada, {**WEB, "a": "1"})
    async with asyncio.timeout(LIMIT):
        await builder.published.wait()
    await sweep_builds(site.backends)
    assert len(artifacts(site)) == 2, "its build may be about to say that it is there"
    await site.workers[-1].lose()
    await ada.request("POST", f"/deployments/{deployment_id}/cancel")
    await site.worker()
    assert (await site.end(ada, deployment_id))["status"] == "canceled"
    assert len(artifacts(site)) == 2
    await sweep_builds(site.backends)
    assert artifacts(site) == kept
    assert await site.value("SELECT count(*) FROM artifacts") == 1, "nor is it remembered"
    builder.go_on.set()
    again = await site.live(ada, {**WEB, "a": "1"})
    await site.only(again)
    assert live != again


async def test_an_artifact_that_was_there_once_goes_again_and_its_row_stays(
    site: Installation, ada: AsyncCygniClient
) -> None:
    await site.project(ada)
    first = await site.live(ada)
    await site.live(ada, {**WEB, "a": "2"})
    digest = (await site.get(ada, first))["artifact"]["digest"]
    await site.execute("UPDATE artifacts SET pruned_at = now(), removed_at = now() WHERE digest = $1", digest)
    await sweep_builds(site.backends)
    assert len(artifacts(site)) == 1
    row = await site.value("SELECT removed_at IS NOT NULL FROM artifacts WHERE digest = $1", digest)
    assert row is True, "what was live can be read of"


async def test_what_purged_projects_left_goes(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    await site.live(ada)
    gone = site.api.settings.home / "artifacts" / "proj_gone" / "abc"
    gone.mkdir(parents=True)
    await sweep_builds(site.backends)
    assert not gone.exists()
    assert len(artifacts(site)) == 1


async def test_builds_and_trees_of_attempts_that_are_over_go(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    over = await site.live(ada)
    site.builder.hold = asyncio.Event()
    running = await site.deploy(ada, {**WEB, "a": "1"})
    await site.step(ada, running, "build")
    await until(lambda: f"{running}.1" in site.builder.builds)
    left = {f"{over}.1", f"{running}.0", "dep_purged.1"}
    site.builder.builds |= left
    trees = site.api.settings.home / "sources"
    for name in left:
        (trees / name).mkdir()
    site.builder.killed.clear()
    await sweep_builds(site.backends)
    assert set(site.builder.killed) == left
    assert site.builder.builds == {f"{running}.1"}
    assert [path.name for path in trees.iterdir()] == [f"{running}.1"]
    site.builder.hold.set()
    assert (await site.end(ada, running))["status"] == "success"
