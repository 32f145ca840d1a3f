"""The git repository of a project and the branch that an environment follows."""

from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.core import db
from tests.make.api import Api
from tests.make.calls import refused

URL = "https://git.example.com/team/app.git"


async def make(client: AsyncCygniClient, **source: Any) -> Any:
    return (await client.raw.projects.create(name="shop", source=source)).data


async def patched(client: AsyncCygniClient, source: Any) -> Any:
    return (await client.raw.projects.update("shop", source=source)).data["source"]


async def branch(client: AsyncCygniClient, environment: str = "production") -> str | None:
    return (await client.raw.environments.get("shop", environment)).data["branch"]


async def connection(client: AsyncCygniClient, kind: str = "token", host: str = "git.example.com") -> str:
    auth = {"type": "token", "token": "a-token"} if kind == "token" else {"type": "sshKey"}
    body = {"name": "git", "host": host, "auth": auth}
    return (await client.request("POST", "/git/connections", json=body)).data["id"]


async def test_it_is_set_merged_and_cleared(api: Api) -> None:
    owner = await api.owner()
    made = await make(owner, repositoryUrl=URL)
    assert made["source"] == {"repositoryUrl": URL, "branch": "main", "connectionId": None}
    assert await branch(owner) == "main"
    assert await patched(owner, {"branch": "develop"}) == {
        "repositoryUrl": URL, "branch": "develop", "connectionId": None,
    }  # fmt: skip
    assert await branch(owner) == "develop"
    other = "ssh://git@git.example.com/app.git"
    assert (await patched(owner, {"repositoryUrl": other}))["branch"] == "main"
    assert await patched(owner, None) is None
    assert (await refused(patched(owner, {"branch": "x"}))).details["field"] == "source.repositoryUrl"


@pytest.mark.parametrize("url", [
    "http://git.example.com/app.git", "file:///etc", "/etc", "ext::sh -c id", "git://git.example.com/app.git",
    "https://user:secret@git.example.com/app", "https://secret@git.example.com/app", "ssh://-oProxyCommand=id/app",
    "--upload-pack=id", "https://git.example.com", "https://0x7f000001/app", "https://2130706433/app",
    "https://127.1/app", "https://git.example.com/a?b", "https://git.example.com/a b", "https://git.example.com/\nb",
    "ssh://a$(id)@git.example.com/app",
])  # fmt: skip
async def test_urls_that_are_refused(api: Api, url: str) -> None:
    error = await refused(make(await api.owner(), repositoryUrl=url))
    assert (error.status, error.details["field"]) == (400, "source.repositoryUrl")
    if "secret" in url:
        assert "connection" in error.details["reason"]


@pytest.mark.parametrize("name", ["-x", "a..b", "a b", "a~1", "x.lock", "@{-1}", "/a", "a\nb"])
async def test_branches_that_are_none(api: Api, name: str) -> None:
    owner = await api.owner()
    error = await refused(make(owner, repositoryUrl=URL, branch=name))
    assert error.details["field"] == "source.branch"
    await make(owner, repositoryUrl=URL)
    for asked in (
        owner.raw.environments.update("shop", "production", branch=name),
        owner.raw.environments.create("shop", name="staging", branch=name),
    ):
        assert (await refused(asked)).details["field"] == "branch"


async def test_a_connection_is_the_teams_and_for_this_host_and_protocol(api: Api) -> None:
    owner, outsider = await api.owner(), await api.outsider()
    own, key, elsewhere = [
        await connection(owner, *which) for which in (("token",), ("sshKey",), ("token", "evil.example.com"))
    ]
    theirs = await connection(outsider)
    await make(owner, repositoryUrl=URL, connectionId=own)
    for wrong in (key, elsewhere, theirs, "git_nothing"):
        error = await refused(patched(owner, {"connectionId": wrong}))
        assert (error.status, error.details["field"]) == (400, "source.connectionId")
    for url in ("https://evil.example.com/app.git", "https://git.example.com:8443/app.git", "git@git.example.com:app"):
        wanted = {"repositoryUrl": url, "connectionId": own}
        assert (await refused(patched(owner, wanted))).details["field"] == "source.connectionId"
    assert (await patched(owner, {"repositoryUrl": "git@git.example.com:app", "connectionId": key}))["branch"] == "main"


async def test_another_repository_does_not_take_the_connection_along(api: Api) -> None:
    owner = await api.owner()
    await make(owner, repositoryUrl=URL, connectionId=await connection(owner))
    moved = await patched(owner, {"repositoryUrl": "https://evil.example.com/app.git"})
    assert moved["connectionId"] is None


async def test_environments_follow_branches(api: Api) -> None:
    owner = await api.owner()
    await make(owner, repositoryUrl=URL)
    body = {"name": "staging", "branch": "develop", "autoDeploy": False}
    made = (await owner.request("POST", "/projects/shop/environments", json=body)).data
    assert (made["branch"], made["autoDeploy"]) == ("develop", False)
    await owner.environments.create("shop", name="other")
    assert await branch(owner, "other") is None
    path = "/projects/shop/environments/staging"
    changed = await owner.request("PATCH", path, json={"branch": None, "autoDeploy": True})
    assert (changed.data["branch"], changed.data["autoDeploy"]) == (None, True)
    await owner.request("PATCH", path, json={"branch": None})
    async with db.read(api.pool) as read:
        said = await read.value("SELECT json_agg(after)::text FROM changes WHERE type = 'environment.updated'")
    assert said == '["{\\"autoDeploy\\":true,\\"branch\\":null}"]'
    stale = owner.request("PATCH", path, json={"branch": "x"}, headers={"If-Match": '"0.1"'})
    assert (await refused(stale)).status == 412
    developer = await api.member("developer")
    assert (await refused(developer.request("PATCH", path, json={"branch": "x"}))).code == "insufficient_scope"
    assert (await refused((await api.outsider()).request("PATCH", path, json={"branch": "x"}))).status == 404
