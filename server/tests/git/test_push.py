"""Pushing, as people do: with git itself."""

import msgspec

from tests.git.harness import Door

APP = {"app.py": "print('hello')\n"}


async def test_a_push_to_the_branch_that_production_follows_is_stored_and_deployed(door: Door) -> None:
    owner = await door.api.owner()
    project = (await owner.request("POST", "/projects", json={"name": "shop"})).data
    token = await door.api.token(door.api.owner_id)
    work = await door.clone_of(APP)
    sha = (await door.git("rev-parse", "HEAD", cwd=work)).said.strip()
    import time

    began = time.time()
    door.api.app.stopping.set()  # nobody deploys here: the story ends with the platform
    ran = await door.git("push", door.url(token=token), "main", cwd=work)
    print(time.time() - began)
    print(ran.said)
    began = time.time()
    ran = await door.git("push", door.url(token=token), "main", cwd=work)
    print(time.time() - began)
    print(ran.said)
    assert await door.refs(project["id"]) == {"refs/heads/main": sha}
