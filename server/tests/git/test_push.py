"""Pushing and fetching, as people do: with git itself."""

import asyncio
import os
import random
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cygni import AsyncCygniClient
from tests.git.harness import Door
from tests.make.stage import until

APP = {"app.py": "print('hello')\n"}


@pytest.fixture
async def owner(door: Door) -> AsyncCygniClient:
    # nobody deploys here: what is told of a deployment ends with the platform, which stops
    door.api.app.stopping.set()
    return await door.api.owner()


@pytest.fixture
async def project(owner: AsyncCygniClient) -> Any:
    return (await owner.request("POST", "/projects", json={"name": "shop"})).data


@pytest.fixture
async def remote(door: Door, project: Any) -> str:
    return door.url(token=await door.api.token(door.api.owner_id))


@pytest.fixture
async def work(door: Door, remote: str) -> Path:
    folder = await door.clone_of(APP)
    await door.git("remote", "add", "cygni", remote, cwd=folder)
    return folder


async def deployments(owner: AsyncCygniClient) -> list[Any]:
    return (await owner.request("GET", "/deployments", query={"projectId": "shop", "sort": "createdAt"})).data


async def test_a_push_to_the_branch_that_production_follows_is_stored_and_deployed(
    door: Door, owner: AsyncCygniClient, project: Any, work: Path
) -> None:
    sha = await door.commit(work, {"app.py": "print(2)\n"}, "Say two\n\nAt last.")
    ran = await door.git("push", "cygni", "main", cwd=work)
    assert "remote: main → shop · production" in ran.said
    assert await door.refs(project["id"]) == {"refs/heads/main": sha}
    [made] = await deployments(owner)
    assert (made["trigger"], made["environment"], made["createdBy"]) == ("git", "production", door.api.owner_id)
    assert made["source"] == {"type": "push", "branch": "main", "tag": None}
    assert made["message"] == "Say two"
    assert made["commit"] == {
        "sha": sha,
        "message": "Say two\n\nAt last.",
        "authorName": "Ada",
        "authorEmail": "ada@example.com",
        "committedAt": made["commit"]["committedAt"],
    }
    assert await door.value("SELECT count(*) FROM repository_pushes") == 0
    change = "SELECT actor_id FROM changes WHERE type = 'repository.pushed' AND resource_id = $1"
    assert await door.value(change, project["id"]) == door.api.owner_id


async def test_pushing_what_is_there_says_so_and_deploys_nothing(
    door: Door, owner: AsyncCygniClient, work: Path
) -> None:
    await door.git("push", "cygni", "main", cwd=work)
    ran = await door.git("push", "cygni", "main", cwd=work)
    assert ran.said == "Everything up-to-date\n"
    assert len(await deployments(owner)) == 1
    assert await door.value("SELECT count(*) FROM changes WHERE type = 'repository.pushed'") == 1


async def test_other_branches_and_tags_are_stored_and_it_says_how_to_deploy_them(
    door: Door, owner: AsyncCygniClient, project: Any, work: Path
) -> None:
    await door.git("tag", "-m", "one", "v1", cwd=work)
    ran = await door.git("push", "cygni", "main:feature/x", "v1", cwd=work)
    assert "remote: feature/x: stored, not deployed: no environment follows this branch" in ran.said
    assert "git push <remote> feature/x:main" in ran.said
    assert "remote: tags/v1: stored, which deploys nothing" in ran.said
    assert set(await door.refs(project["id"])) == {"refs/heads/feature/x", "refs/tags/v1"}
    assert await deployments(owner) == []


async def test_each_environment_has_what_is_pushed_to_its_branch(
    door: Door, owner: AsyncCygniClient, work: Path
) -> None:
    for name, fields in (("stage", {"branch": "main"}), ("qa", {"branch": "qa"}), ("off", {"autoDeploy": False})):
        await owner.request("POST", "/projects/shop/environments", json={"name": name, "branch": "main", **fields})
    ran = await door.git("push", "cygni", "main", "main:qa", cwd=work)
    made = await deployments(owner)
    assert sorted(each["environment"] for each in made) == ["production", "qa", "stage"]
    # the platform stops, so that only the first is watched
    assert "remote: main → shop · production" in ran.said


async def test_going_back_to_an_older_commit_deploys_it_again(door: Door, owner: AsyncCygniClient, work: Path) -> None:
    first = (await door.git("rev-parse", "HEAD", cwd=work)).said.strip()
    await door.git("push", "cygni", "main", cwd=work)
    second = await door.commit(work, {"app.py": "print(3)\n"})
    await door.git("push", "cygni", "main", cwd=work)
    refused = await door.git("push", "cygni", f"{first}:main", cwd=work, check=False)
    assert refused.code != 0
    await door.git("push", "--force", "cygni", f"{first}:main", cwd=work)
    assert [each["commit"]["sha"] for each in await deployments(owner)] == [first, second, first]


async def test_removing_a_branch_deploys_nothing(door: Door, owner: AsyncCygniClient, project: Any, work: Path) -> None:
    await door.git("push", "cygni", "main", "main:other", cwd=work)
    ran = await door.git("push", "cygni", ":other", ":main", cwd=work)
    assert "remote: main: removed, which deploys nothing" in ran.said
    assert await door.refs(project["id"]) == {}
    assert await door.value("SELECT count(*) FROM repository_refs") == 0
    assert len(await deployments(owner)) == 1


async def test_what_is_pushed_can_be_fetched_and_cloned(door: Door, remote: str, work: Path) -> None:
    sha = await door.commit(work, {"deep/er.txt": "x" * 5000})
    await door.git("push", "cygni", "main", cwd=work)
    for protocol in ("0", "2"):
        await door.git("-c", f"protocol.version={protocol}", "clone", "--quiet", remote, f"clone{protocol}")
        head = await door.git("rev-parse", "HEAD", cwd=door.folder / f"clone{protocol}")
        assert head.said.strip() == sha
    # a fetch that negotiates sends a compressed body
    other = door.folder / "clone2"
    for number in range(60):
        await door.commit(other, {}, f"{number}")
    await door.commit(work, {"app.py": "print(4)\n"})
    await door.git("push", "cygni", "main", cwd=work)
    await door.git("fetch", "--quiet", cwd=other)
    assert (await door.git("show", "origin/main:app.py", cwd=other)).said == "print(4)\n"


async def test_a_large_pack_comes_in_chunks(door: Door, project: Any, work: Path) -> None:
    (work / "large.bin").write_bytes(random.randbytes(5_000_000))
    sha = await door.commit(work, {})
    await door.git("push", "cygni", "main", cwd=work)
    assert (await door.refs(project["id"]))["refs/heads/main"] == sha


async def test_pushes_at_once_are_all_stored_and_the_newest_is_deployed(
    door: Door, owner: AsyncCygniClient, project: Any, work: Path
) -> None:
    await door.git("push", "cygni", "main", cwd=work)
    shas: dict[str, str] = {}
    for number in range(6):
        shas[f"refs/heads/b{number}"] = await door.commit(work, {"n.txt": str(number)})
        await door.git("branch", f"b{number}", cwd=work)
    ran = await asyncio.gather(*(door.git("push", "cygni", f"b{number}", cwd=work) for number in range(6)))
    assert all(each.code == 0 for each in ran)
    assert {name: sha for name, sha in (await door.refs(project["id"])).items() if name != "refs/heads/main"} == shas
    # to one branch: git takes one and refuses those that have not seen it
    racers = [
        await door.commit(await door.clone_of(APP, name=f"racer{number}"), {"n.txt": f"r{number}"})
        for number in range(3)
    ]
    remote = (await door.git("remote", "get-url", "cygni", cwd=work)).said.strip()
    ran = await asyncio.gather(
        *(
            door.git("push", "--force", remote, "HEAD:main", cwd=door.folder / f"racer{number}", check=False)
            for number in range(3)
        )
    )
    head = (await door.refs(project["id"]))["refs/heads/main"]
    assert head in racers
    assert any(each.code == 0 for each in ran)
    newest = (await deployments(owner))[-1]
    assert newest["commit"]["sha"] == head
    assert await door.value("SELECT sha FROM repository_refs WHERE name = 'refs/heads/main'") == head


async def test_a_paused_project_takes_pushes_and_says_why_it_deploys_none(
    door: Door, owner: AsyncCygniClient, work: Path
) -> None:
    await owner.request("POST", "/projects/shop/pause")
    ran = await door.git("push", "cygni", "main", cwd=work)
    assert "main: stored, not deployed: the project is paused" in ran.said
    assert await deployments(owner) == []


async def test_a_project_with_a_git_source_is_deployed_from_there(
    door: Door, owner: AsyncCygniClient, work: Path
) -> None:
    source = {"repositoryUrl": "https://git.example.com/acme/shop.git"}
    await owner.request("PATCH", "/projects/shop", json={"source": source})
    ran = await door.git("push", "cygni", "main", cwd=work)
    assert f"main: stored, not deployed: shop is deployed from {source['repositoryUrl']}" in ran.said
    assert await deployments(owner) == []


async def test_the_id_of_a_project_names_its_repository_too(door: Door, project: Any, remote: str, work: Path) -> None:
    await door.git("push", remote.replace("/shop.git", f"/{project['id']}.git"), "main", cwd=work)
    assert project["gitUrl"].endswith("/git/shop.git")
    assert list(await door.refs(project["id"])) == ["refs/heads/main"]


async def test_whoever_leaves_stops_nothing(door: Door, owner: AsyncCygniClient, work: Path) -> None:
    door.api.app.stopping.clear()  # so that the story of the deployment, which nobody works on, goes on
    process = await asyncio.create_subprocess_exec(
        *("git", "push", "cygni", "main"), cwd=work, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stderr is not None
    said = b""
    while b"production" not in said:
        more = await process.stderr.read(1000)
        assert more, said
        said += more
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C, to git and all its helpers
    await process.wait()

    async def ended() -> bool:
        return not [path for path in door.api.settings.git_folder.glob("of-*/*") if path.is_dir()]

    await until(ended)
    assert [each["status"] for each in await deployments(owner)] == ["queued"]


async def test_a_push_and_a_fetch_are_one_request_each(door: Door, remote: str, work: Path) -> None:
    await door.execute("UPDATE teams SET plan = 'free'")
    token = re.search(r"git:([^@]+)@", remote)
    assert token is not None
    client = door.api.client(token[1])

    async def left() -> set[int]:
        return {window["remaining"] for window in (await client.request("GET", "/rate-limit")).data["windows"]}

    before = await left()
    await door.git("push", "cygni", "main", cwd=work)
    await door.git("clone", "--quiet", remote, "again")
    assert await left() == {count - 2 for count in before}
