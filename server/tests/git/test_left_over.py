"""A crash between git's storing a push and anybody taking note of it loses nothing, and deploys nothing twice."""

from types import SimpleNamespace
from typing import Any

from cygnid.core import db
from cygnid.git.tasks import pack_repositories, take_note_of_pushes
from cygnid.resources.projects import queries as projects
from cygnid.resources.repositories import actions
from cygnid.resources.repositories.schemas import NOTHING, RefUpdate
from cygnid.source.base import SourceUnavailable
from tests.git.harness import Door


async def begun(door: Door, sha: str, *, seconds: int, ref: str = "refs/heads/main") -> Any:
    """A push of which only git knows, as after `kill -9` of the API; begun so many seconds ago."""
    owner = await door.api.owner()
    project = (await owner.request("POST", "/projects", json={"name": "shop"})).data
    actor_id = door.api.owner_id
    async with db.begin(door.api.pool) as tx:
        row = await projects.project(tx, project["id"])
        assert row is not None
        secret = await door.api.token(actor_id)
        actor = await vars(door.api.app)["_last_uses"].authenticate(tx, secret, "127.0.0.1")
        updates = [RefUpdate(name=ref, old=NOTHING, new=sha)]
        await actions.begin_push(tx, actor, row, updates, request_id="req_12345678")
    await door.execute(f"UPDATE repository_pushes SET begun_at = now() - interval '{seconds} seconds'")
    return project


async def look(door: Door) -> None:
    await take_note_of_pushes(SimpleNamespace(pool=door.api.pool, repositories=door.repositories))


async def stored(door: Door, project: Any) -> str:
    """git has it, and nobody was told."""
    work = door.folder / "work"
    repository = await door.repositories.ensure(project["id"])
    trusting = ("-c", "safe.directory=*")
    await door.git(*trusting, "fetch", "--quiet", str(work), "main:refs/heads/main", cwd=repository)
    return (await door.git("rev-parse", "HEAD", cwd=work)).said.strip()


async def test_what_git_has_stored_is_deployed_once_in_the_pushers_name(door: Door) -> None:
    work = await door.clone_of({"a": "1"})
    sha = (await door.git("rev-parse", "HEAD", cwd=work)).said.strip()
    project = await begun(door, sha, seconds=30)
    await look(door)
    assert await door.value("SELECT count(*) FROM repository_pushes") == 1, "git may still be about to store it"
    await stored(door, project)
    for _ in range(2):
        await look(door)
    owner = await door.api.owner()
    [made] = (await owner.request("GET", "/deployments", query={"projectId": "shop"})).data
    assert (made["commit"]["sha"], made["createdBy"], made["trigger"]) == (sha, door.api.owner_id, "git")
    assert await door.value("SELECT count(*) FROM changes WHERE type = 'repository.pushed'") == 1
    assert await door.value("SELECT count(*) FROM repository_pushes") == 0


async def test_one_that_is_under_way_is_left_to_who_received_it(door: Door) -> None:
    work = await door.clone_of({"a": "1"})
    sha = (await door.git("rev-parse", "HEAD", cwd=work)).said.strip()
    project = await begun(door, sha, seconds=3)
    await stored(door, project)
    await look(door)
    assert await door.value("SELECT count(*) FROM repository_pushes") == 1


async def test_one_that_git_never_stored_is_forgotten(door: Door) -> None:
    await begun(door, "1" * 40, seconds=3600)
    await look(door)
    assert await door.value("SELECT count(*) FROM repository_pushes") == 0
    assert await door.value("SELECT count(*) FROM deployments") == 0
    assert await door.value("SELECT count(*) FROM changes WHERE type = 'repository.pushed'") == 0


async def test_one_repository_that_cannot_be_read_holds_up_no_other(door: Door) -> None:
    await begun(door, "1" * 40, seconds=3600)

    class Broken:
        async def head(self, project_id: str, ref: str) -> str | None:
            raise SourceUnavailable("the disk is away")

    await take_note_of_pushes(SimpleNamespace(pool=door.api.pool, repositories=Broken()))
    assert await door.value("SELECT count(*) FROM repository_pushes") == 1


async def test_repositories_are_packed_and_lose_nothing(door: Door) -> None:
    door.api.app.stopping.set()
    owner = await door.api.owner()
    project = (await owner.request("POST", "/projects", json={"name": "shop"})).data
    work = await door.clone_of({"a": "1"})
    url = door.url(token=await door.api.token(door.api.owner_id))
    for number in range(3):
        await door.commit(work, {"a": str(number)})
        await door.git("push", url, f"main:b{number}", cwd=work)
    before = await door.refs(project["id"])
    await pack_repositories(SimpleNamespace(pool=door.api.pool, repositories=door.repositories))
    assert await door.refs(project["id"]) == before
    await door.repositories.remove(project["id"])
    await door.repositories.remove(project["id"])
    assert not door.repositories.path(project["id"]).exists()
