"""Git sources that are asked for new commits."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from cygni import AsyncCygniClient
from cygnid.core import db
from cygnid.core.work import Claim, Worker
from cygnid.resources.deployments import watching
from cygnid.source.base import SourceUnavailable
from tests.fakes.source import FakeRepository
from tests.make.worker import STATIC, Installation
from tests.sandbox.harness import until

URL = "https://git.example.com/team/app.git"


@pytest.fixture
async def repository(site: Installation, ada: AsyncCygniClient) -> FakeRepository:
    made = site.source.repositories[URL] = FakeRepository()
    await site.project(ada, source={"repositoryUrl": URL})
    return made


async def look(site: Installation) -> float | None:
    """One look, as a worker would; returns after how many seconds it looks again."""
    await watching.watch_sources(site.backends)
    claim = await claimed(site)
    pause = await watching.look(site.backends, claim)
    return None if pause is None else pause.total_seconds()


async def claimed(site: Installation) -> Claim:
    attempt = await site.value("SELECT attempt FROM git_watches")
    return Claim(
        table="git_watches",
        id=await site.value("SELECT id FROM git_watches"),
        attempt=attempt,
        tries=1,
        due_at=None,  # type: ignore[arg-type]
    )


async def made(ada: AsyncCygniClient, environment: str = "production") -> list[Any]:
    query = {"projectId": "shop", "environment": environment, "sort": "createdAt"}
    return (await ada.request("GET", "/deployments", query=query)).data


async def said(ada: AsyncCygniClient, *parts: str) -> None:
    """Wait until the platform's own lines of the project are these, and no others."""

    async def so() -> bool:
        query = {"projectId": "shop", "source": "system", "sort": "timestamp"}
        lines = [row["message"] for row in (await ada.request("GET", "/logs", query=query)).data]
        return len(lines) == len(parts) and all(part in line for part, line in zip(parts, lines, strict=True))

    await until(so)


async def test_each_new_head_is_deployed_once(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    first = repository.commit(STATIC)
    assert await look(site)
    (deployment,) = await made(ada)
    assert (deployment["trigger"], deployment["type"], deployment["createdBy"]) == ("git", "deploy", "system")
    done = await site.end(ada, deployment["id"])
    assert (done["status"], done["commit"]["sha"], done["source"]["branch"]) == ("success", first, "main")
    await look(site)
    assert len(await made(ada)) == 1
    second = repository.commit({"index.html": "2"})
    await asyncio.gather(*(look(site) for _ in range(4)))
    commits = [(await site.end(ada, row["id"]))["commit"]["sha"] for row in await made(ada)]
    assert commits == [first, second]
    repository.refs["refs/heads/main"] = first
    await look(site)
    assert len(await made(ada)) == 3


async def test_environments_get_their_own_branches(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    environments = "/projects/shop/environments"
    await ada.request("POST", environments, json={"name": "staging", "branch": "develop"})
    await ada.request("POST", environments, json={"name": "quiet", "branch": "develop", "autoDeploy": False})
    await ada.request("POST", environments, json={"name": "none"})
    repository.commit(STATIC)
    develop = repository.commit({"index.html": "dev"}, "refs/heads/develop")
    await look(site)
    assert [len(await made(ada, name)) for name in ("production", "staging", "quiet", "none")] == [1, 1, 0, 0]
    (staging,) = await made(ada, "staging")
    assert (await site.end(ada, staging["id"]))["commit"]["sha"] == develop
    await ada.request("PATCH", f"{environments}/quiet", json={"autoDeploy": True})
    await look(site)
    assert len(await made(ada, "quiet")) == 1


async def test_what_was_deployed_by_hand_is_not_deployed_again(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    repository.commit(STATIC)
    site.source.hold = asyncio.Event()
    deployment = await site.deploy(ada)
    await site.step(ada, deployment, "source")
    pause = await look(site)
    assert pause is not None
    assert pause < 10
    assert len(await made(ada)) == 1
    site.source.hold.set()
    await site.end(ada, deployment)
    await look(site)
    assert len(await made(ada)) == 1
    old = await site.deploy(ada, commitSha=repository.refs["refs/heads/main"])
    await site.end(ada, old)
    await look(site)
    assert len(await made(ada)) == 2


async def test_a_source_that_fails_is_asked_less_often_and_says_so_once(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    site.source.fail = SourceUnavailable("The host cannot be reached.", hint="Try again.")
    pauses = [await look(site)]
    for _ in range(3):
        site.source.fail = SourceUnavailable("The host cannot be reached.", hint="Try again.")
        pauses.append(await look(site))
    first, *_, last = [pause for pause in pauses if pause is not None]
    assert len(pauses) == 4
    assert last > first > 60
    assert await site.value("SELECT error FROM git_watches") == "The host cannot be reached. Try again."
    repository.commit(STATIC)
    pause = await look(site)
    assert pause is not None
    assert pause < first
    assert len(await made(ada)) == 1
    await said(ada, "cannot be reached", "again")


async def test_a_branch_that_is_missing_holds_no_other_up(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    await ada.request("POST", "/projects/shop/environments", json={"name": "staging", "branch": "develop"})
    repository.commit(STATIC)
    await look(site)
    assert len(await made(ada)) == 1
    await said(ada, "no branch develop")


async def test_only_what_follows_is_watched(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    async def watched() -> int:
        await watching.watch_sources(site.backends)
        return await site.value("SELECT count(*) FROM git_watches")

    assert await watched() == 1
    for change, back in (
        (("POST", "/projects/shop/pause", None), ("POST", "/projects/shop/resume", None)),
        (
            ("PATCH", "/projects/shop/environments/production", {"autoDeploy": False}),
            ("PATCH", "/projects/shop/environments/production", {"autoDeploy": True}),
        ),
        (
            ("PATCH", "/projects/shop", {"source": None}),
            ("PATCH", "/projects/shop", {"source": {"repositoryUrl": URL}}),
        ),
    ):
        await ada.request(change[0], change[1], json=change[2])
        assert await watched() == 0, change
        await ada.request(back[0], back[1], json=back[2])
        assert await watched() == 1, back
    repository.commit(STATIC)
    await look(site)
    assert len(await made(ada)) == 1


async def test_another_repository_begins_anew(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    sha = repository.commit(STATIC)
    await look(site)
    other = site.source.repositories["https://git.example.com/fork.git"] = FakeRepository()
    assert other.commit(STATIC) == sha
    await ada.request("PATCH", "/projects/shop", json={"source": {"repositoryUrl": "https://git.example.com/fork.git"}})
    await look(site)
    assert len(await made(ada)) == 2


@asynccontextmanager
async def watched(site: Installation) -> AsyncGenerator[None]:
    """A worker that looks, again and again."""
    settings = msgspec.structs.replace(site.api.settings, git_poll_seconds=0.2)
    pool = await db.connect(settings.database_url, size=4)
    backends = replace(site.backends, pool=pool, settings=settings)
    worker = Worker(watching.look, backends, pool, backends.wakeups, lease_seconds=5, look_seconds=5)
    running = asyncio.create_task(worker.run())
    try:
        await watching.watch_sources(backends)
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        pool.terminate()


async def test_by_itself(site: Installation, ada: AsyncCygniClient, repository: FakeRepository) -> None:
    repository.commit(STATIC)
    async with watched(site):
        for count in (1, 2, 3):

            async def so(count: int = count) -> bool:
                return len(await made(ada)) == count

            await until(so)
            repository.commit({"index.html": str(count)})
