"""New commits that change nothing that is watched are not built."""

from typing import Any

import pytest

from cygni import AsyncCygniClient
from tests.fakes.source import FakeRepository
from tests.make.worker import Installation
from tests.resources.deployments.test_watching import URL, look, made

PAGE, SERVER = {"web/index.html": "1"}, {"api/README.md": "1"}


@pytest.fixture
async def repository(site: Installation, ada: AsyncCygniClient) -> FakeRepository:
    """Of a project whose page is built of the folder web."""
    found = site.source.repositories[URL] = FakeRepository()
    await site.project(ada, source={"repositoryUrl": URL}, build={"rootDir": "web", "watchPaths": ["web/", "!*.md"]})
    return found


async def arrives(site: Installation, ada: AsyncCygniClient, repository: FakeRepository, files: dict[str, str]) -> Any:
    """The end of what a new commit with these files deploys."""
    sha = repository.commit(files)
    await look(site)
    done = await site.end(ada, (await made(ada))[-1]["id"])
    assert done["commit"]["sha"] == sha
    return done


async def test_a_commit_elsewhere_is_not_built_and_says_why(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    first = await arrives(site, ada, repository, {**PAGE, **SERVER})
    assert first["status"] == "success", first["failure"]
    done = await arrives(site, ada, repository, {**PAGE, "api/README.md": "2", "web/README.md": "2"})
    why = f"Not built: nothing in web/, !*.md has changed since {first['commit']['sha'][:12]}, which is live"
    assert (done["status"], done["failure"], done["artifact"]) == ("canceled", None, None)
    assert [step["status"] for step in done["steps"]] == ["success", *["skipped"] * 5]
    assert done["steps"][1]["message"] == why
    events = (await ada.request("GET", f"/deployments/{done['id']}/events")).data
    assert why in [event["message"] for event in events]
    await look(site)
    assert len(await made(ada)) == 2
    asked = await site.end(ada, await site.deploy(ada))
    assert asked["status"] == "success"
    again = (await ada.request("POST", f"/deployments/{done['id']}/redeploy", json={})).data
    assert (await site.end(ada, again["id"]))["status"] == "success"


async def test_what_is_live_is_compared_with(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    await arrives(site, ada, repository, {**PAGE, **SERVER})
    failing = await arrives(site, ada, repository, {"web/index.html": "2", "web/cygni.toml": "so", **SERVER})
    assert failing["status"] == "failed"
    # the change that failed is not live yet, so that another commit brings it
    again = await arrives(site, ada, repository, {"web/index.html": "2", "api/README.md": "3"})
    assert again["status"] == "success"
    restarted = (await ada.request("POST", "/projects/shop/restart", json={})).data
    await site.end(ada, restarted["id"])
    assert (await arrives(site, ada, repository, {"web/index.html": "2", "api/README.md": "4"}))["status"] == "canceled"


async def test_where_nothing_can_be_compared_everything_is_built(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    uploaded = await site.end(ada, await site.deploy(ada, {"web/index.html": "0"}))
    assert uploaded["status"] == "success"
    assert (await arrives(site, ada, repository, {**PAGE, **SERVER}))["status"] == "success"
    repository.commits.clear()
    assert (await arrives(site, ada, repository, {**PAGE, "api/README.md": "2"}))["status"] == "success"


async def test_the_repository_says_it_too(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    await ada.request("PATCH", "/projects/shop", json={"build": None})
    toml = {"cygni.toml": 'root_dir = "web"\nwatch_paths = ["/web/"]\n'}
    assert (await arrives(site, ada, repository, {"index.html": "top", **PAGE}))["status"] == "success"
    assert (await arrives(site, ada, repository, {**toml, **PAGE, **SERVER}))["status"] == "success"
    assert (await arrives(site, ada, repository, {**toml, **PAGE, "api/README.md": "2"}))["status"] == "canceled"
    wider = {"cygni.toml": 'root_dir = "web"\nwatch_paths = ["/web/", "/api/"]\n'}
    assert (await arrives(site, ada, repository, {**wider, **PAGE, "api/README.md": "2"}))["status"] == "success"
    assert (await arrives(site, ada, repository, {**wider, **PAGE, "api/README.md": "3"}))["status"] == "success"


async def test_a_root_folder_alone_watches_nothing(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    await ada.request("PATCH", "/projects/shop", json={"build": {"watchPaths": None}})
    assert (await arrives(site, ada, repository, {**PAGE, **SERVER}))["status"] == "success"
    assert (await arrives(site, ada, repository, {**PAGE, "api/README.md": "2"}))["status"] == "success"
