"""Deployments of what git has."""

from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient
from cygnid.source.base import GitRemote, SourceInvalid
from tests.fakes.source import FakeRepository
from tests.make.worker import STATIC, Installation

URL = "https://git.example.com/team/app.git"


@pytest.fixture
async def repository(site: Installation, ada: AsyncCygniClient) -> FakeRepository:
    """The git source of the project `shop`, which nobody watches."""
    made = site.source.repositories[URL] = FakeRepository()
    await site.project(ada, source={"repositoryUrl": URL})
    return made


async def test_the_head_of_the_default_branch(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    sha = repository.commit(STATIC)
    live = await site.end(ada, await site.deploy(ada))
    assert live["status"] == "success", live["failure"]
    assert live["source"] == {"type": "git", "repositoryUrl": URL, "branch": "main", "tag": None}
    assert live["commit"] == {
        "sha": sha, "message": "A change", "authorName": "Ada", "authorEmail": "ada@example.com",
        "committedAt": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    assert live["steps"][0]["message"].startswith(f"commit {sha[:12]}")


async def test_a_branch_a_tag_and_a_commit(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    old = repository.commit(STATIC)
    repository.refs["refs/tags/v1"] = old
    new = repository.commit({"index.html": "new"})
    other = repository.commit({"index.html": "other"}, "refs/heads/feature/x")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"branch": "main"}, new),
        ({"branch": "feature/x"}, other),
        ({"tag": "v1"}, old),
        ({"commitSha": old}, old),
        ({"commitSha": new, "branch": "main"}, new),
    ]
    for asked, sha in cases:
        done = await site.end(ada, await site.deploy(ada, **asked))
        assert (done["status"], done["commit"]["sha"]) == ("success", sha), done["failure"]
        assert (done["source"]["branch"], done["source"]["tag"]) == (asked.get("branch"), asked.get("tag"))

    async def found(**query: Any) -> int:
        return len((await ada.request("GET", "/deployments", query={"projectId": "shop", **query})).data)

    assert (await found(branch="main"), await found(branch="feature/x")) == (2, 1)
    assert (await found(commitSha=old), await found(commitSha=old[:7]), await found(commitSha="0" * 7)) == (2, 2, 0)


async def test_a_commit_never_moves(site: Installation, ada: AsyncCygniClient, repository: FakeRepository) -> None:
    first = repository.commit(STATIC)
    deployment = await site.deploy(ada)
    await site.end(ada, deployment)
    repository.commit({"index.html": "newer"})
    again = (await ada.request("POST", f"/deployments/{deployment}/redeploy", json={})).data
    assert (again["type"], again["commit"]["sha"], again["source"]["type"]) == ("redeploy", first, "git")
    done = await site.end(ada, again["id"])
    assert (done["status"], done["commit"]["sha"]) == ("success", first)
    rolled = (await ada.request("POST", f"/deployments/{deployment}/rollback", json={})).data
    await site.end(ada, rolled["id"])
    third = (await ada.request("POST", f"/deployments/{rolled['id']}/redeploy", json={})).data
    assert third["commit"]["sha"] == first


async def test_a_failed_fetch_says_what_and_what_next(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    repository.commit(STATIC)
    site.source.fail = SourceInvalid("The repository has no branch main.", hint="Its branches: dev.")
    failure = (await site.end(ada, await site.deploy(ada)))["failure"]
    assert (failure["code"], failure["step"]) == ("source_invalid", "source")
    assert (failure["message"], failure["hint"]) == ("The repository has no branch main.", "Its branches: dev.")
    del site.source.repositories[URL]
    failure = (await site.end(ada, await site.deploy(ada)))["failure"]
    assert failure["code"] == "source_unavailable"


async def test_without_a_source_and_a_push_there_is_nothing(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    cases: list[dict[str, Any]] = [{}, {"branch": "main"}, {"tag": "v1"}, {"commitSha": "0" * 40}]
    for asked in cases:
        with pytest.raises(APIStatusError) as error:
            await site.deploy(ada, **asked)
        assert (error.value.status, error.value.code) == (409, "invalid_state")
        assert "source" in (error.value.hint or "")


async def test_the_connections_secret_is_for_the_projects_own_repository(
    site: Installation, ada: AsyncCygniClient, repository: FakeRepository
) -> None:
    body = {"name": "git", "host": "git.example.com", "auth": {"type": "token", "token": "a-token", "username": "bot"}}
    connection = (await ada.request("POST", "/git/connections", json=body)).data["id"]
    await ada.request("PATCH", "/projects/shop", json={"source": {"connectionId": connection}})
    repository.commit(STATIC)
    deployment = await site.deploy(ada)
    await site.end(ada, deployment)
    assert site.source.asked == [GitRemote(url=URL, username="bot", token="a-token")]
    other = "https://git.example.com/team/other.git"
    source = {"repositoryUrl": other, "connectionId": connection}
    await ada.request("PATCH", "/projects/shop", json={"source": source})
    again = (await ada.request("POST", f"/deployments/{deployment}/redeploy", json={})).data["id"]
    await site.end(ada, again)
    assert site.source.asked[1:] == [GitRemote(url=URL)]
