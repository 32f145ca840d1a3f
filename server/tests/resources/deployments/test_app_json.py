"""What app.json asks to be set, and what it runs once."""

import json
from typing import Any

from cygni import AsyncCygniClient
from tests.make.worker import WEB, Installation


def app(**content: Any) -> dict[str, str]:
    return {**WEB, "app.json": json.dumps(content)}


async def variables(ada: AsyncCygniClient) -> dict[str, Any]:
    return {row["key"]: row for row in (await ada.request("GET", "/env", query={"projectId": "shop"})).data}


async def test_what_is_required_and_not_set_ends_before_the_build(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    files = app(env={"STRIPE_KEY": {"description": "of the shop"}, "OTHER": {}, "RANDOM": {"generator": "secret"}})
    failed = await site.end(ada, await site.deploy(ada, files))
    failure = failed["failure"]
    assert (failed["status"], failure["code"]) == ("failed", "source_invalid")
    assert failure["message"] == "app.json requires STRIPE_KEY (of the shop), which is not set, nor OTHER."
    assert failure["hint"] == "cygni env set STRIPE_KEY=… OTHER=… --project shop -e production"
    assert not site.builder.started.is_set()
    assert await variables(ada) == {}
    for key in ("STRIPE_KEY", "OTHER"):
        body = {"projectId": "shop", "key": key, "value": "x", "environments": ["production"]}
        await ada.request("POST", "/env", json=body)
    assert (await site.end(ada, await site.deploy(ada, files)))["status"] == "success"


async def test_a_random_value_is_made_once(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    files = app(env={"SECRET_KEY": {"generator": "secret"}})
    await site.live(ada, files)
    made = (await variables(ada))["SECRET_KEY"]
    assert (made["type"], made["environments"], made["createdBy"]) == ("secret", ["production"], "system")
    assert (made["pending"], made["deployedVersion"]) == (False, 1)
    revealed = (await ada.request("POST", f"/env/{made['id']}/reveal", json={"reason": "test"})).data["value"]
    assert len(revealed) == 64
    await site.live(ada, {**files, "more.txt": ""})
    assert (await variables(ada))["SECRET_KEY"]["version"] == 1


async def test_postdeploy_runs_until_something_is_live(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    files = app(scripts={"postdeploy": "echo seeded >> $HOME/seeded"})
    first = await site.get(ada, await site.live(ada, files))
    second = await site.get(ada, await site.live(ada, {**files, "more.txt": ""}))
    release = [next(step for step in row["steps"] if step["name"] == "release")["status"] for row in (first, second)]
    assert release == ["success", "skipped"]
