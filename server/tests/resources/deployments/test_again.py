"""Releases that come again: rollback, promotion, restart, redeploy, and how long an artifact is kept."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient
from tests.make.api import Api, api_of
from tests.make.stage import APP, until
from tests.make.worker import STATIC, WEB, Installation, installed

SAYS = {**WEB, "app.py": APP.replace('os.environ["CYGNI_DEPLOYMENT_ID"]', 'os.environ.get("GREETING", "nothing")')}


async def greet(ada: AsyncCygniClient, value: str) -> str:
    body = {"projectId": "shop", "key": "GREETING", "value": value, "type": "plain", "environments": ["production"]}
    return (await ada.request("POST", "/env", json=body)).data["id"]


async def post(site: Installation, ada: AsyncCygniClient, path: str, **body: Any) -> Any:
    """The deployment that this made, at its end."""
    answer = await ada.request("POST", path, json=body)
    assert answer.status == 201
    found = await site.end(ada, answer.data["id"])
    assert found["status"] == "success", found["failure"]
    return found


async def refused(ada: AsyncCygniClient, path: str, **body: Any) -> tuple[int, str]:
    with pytest.raises(APIStatusError) as error:
        await ada.request("POST", path, json=body)
    assert error.value.hint
    return error.value.status, error.value.code


async def test_a_rollback_builds_nothing(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    procfile = "web: exec python3 app.py\nrelease: echo ran >> $CYGNI_DATA_DIR/released\n"
    first = await site.live(ada, {**WEB, "Procfile": procfile})
    second = await site.live(ada, {**WEB, "a": "2"})
    found = await post(site, ada, f"/deployments/{first}/rollback")
    assert (found["type"], found["previousId"]) == ("rollback", second)
    assert found["artifact"]["digest"] == (await site.get(ada, first))["artifact"]["digest"]
    statuses = {step["name"]: step["status"] for step in found["steps"]}
    assert statuses["source"] == statuses["build"] == statuses["release"] == "skipped"
    assert await site.serves() == {found["id"]}
    environment = await site.value("SELECT id FROM environments")
    assert (site.data(environment) / "released").read_text() == "ran\n"
    types = await site.value("SELECT array_agg(type) FROM changes WHERE resource_id = $1", found["id"])
    assert {"deployment.success", "deployment.rolled_back"} <= set(types)


async def test_a_rollback_takes_the_variables_it_had(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    variable = await greet(ada, "one")
    first = await site.live(ada, SAYS)
    await ada.env.update(variable, value="two")
    second = await site.live(ada, SAYS)
    assert await site.serves() == {"two"}
    answer = await ada.raw.deployments.rollback(first)
    assert [warning["code"] for warning in answer.meta["warnings"]] == ["env_differs"]
    assert answer.meta["warnings"][0]["path"] == "env.GREETING"
    await site.end(ada, answer.data["id"])
    assert await site.serves() == {"one"}
    await post(site, ada, f"/deployments/{second}/rollback", restoreEnv=False)
    assert await site.serves() == {"two"}
    await ada.env.delete(variable)
    await post(site, ada, f"/deployments/{first}/rollback")
    assert await site.serves() == {"nothing"}


async def test_a_rollback_by_default_goes_to_what_was_before(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    assert await refused(ada, "/projects/shop/rollback") == (409, "invalid_state")
    first = await site.live(ada)
    assert await refused(ada, "/projects/shop/rollback") == (409, "invalid_state")
    await site.live(ada, {**WEB, "a": "2"})
    await site.end(ada, await site.deploy(ada, {"a": "nothing"}))
    await post(site, ada, "/projects/shop/restart")
    found = await post(site, ada, "/projects/shop/rollback")
    assert found["source"]["deploymentId"] == first


async def test_a_static_rollback(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    first = await site.live(ada, STATIC)
    await site.live(ada, {"index.html": "<h1>two</h1>"})
    found = await post(site, ada, f"/deployments/{first}/rollback")
    assert found["artifact"]["kind"] == "static"


async def test_what_cannot_be_rolled_back_to(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    current = await site.live(ada)
    failed = await site.deploy(ada, {**WEB, "app.py": "raise SystemExit(1)"})
    await site.end(ada, failed)
    assert await refused(ada, f"/deployments/{failed}/rollback") == (409, "invalid_state")
    assert await refused(ada, f"/deployments/{current}/rollback") == (409, "invalid_state")
    await ada.environments.create("shop", name="staging")
    body = {"environment": "staging", "deploymentId": current}
    with pytest.raises(APIStatusError) as error:
        await ada.request("POST", "/projects/shop/rollback", json=body)
    assert error.value.status == 404


async def test_a_promotion_takes_the_artifact_and_the_targets_variables(
    site: Installation, ada: AsyncCygniClient
) -> None:
    await site.project(ada)
    await greet(ada, "production's")
    await ada.environments.create("shop", name="staging")
    staged = await site.live(ada, SAYS, environment="staging")
    assert await site.serves() == {"nothing"}
    found = await post(site, ada, f"/deployments/{staged}/promote")
    assert (found["type"], found["environment"]) == ("promote", "production")
    assert found["artifact"]["digest"] == (await site.get(ada, staged))["artifact"]["digest"]
    assert await site.serves() == {"nothing", "production's"}
    assert await refused(ada, f"/deployments/{staged}/promote", environment="staging") == (409, "invalid_state")
    types = await site.value("SELECT array_agg(type) FROM changes WHERE resource_id = $1", found["id"])
    assert "deployment.promoted" in types


async def test_a_restart_takes_what_is_now(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    assert await refused(ada, "/projects/shop/restart") == (409, "invalid_state")
    variable = await greet(ada, "one")
    await site.live(ada, SAYS)
    assert (await post(site, ada, "/projects/shop/restart"))["type"] == "restart"
    await ada.env.update(variable, value="two")
    assert (await post(site, ada, "/projects/shop/restart"))["type"] == "configChange"
    assert await site.serves() == {"two"}
    await ada.processes.update("shop", "web", memory_mb=1024)
    assert (await post(site, ada, "/projects/shop/restart"))["type"] == "configChange"
    assert not (await ada.raw.processes.get("shop", "web")).data["pending"]
    assert (await post(site, ada, "/projects/shop/restart"))["type"] == "restart"


async def test_a_redeploy_builds_the_same_upload(site: Installation, ada: AsyncCygniClient, api: Api) -> None:
    await site.project(ada)
    first = await site.live(ada)
    digest = (await site.get(ada, first))["artifact"]["digest"]
    cached = await post(site, ada, f"/deployments/{first}/redeploy")
    assert (cached["type"], cached["artifact"]["digest"]) == ("redeploy", digest)
    assert {step["name"]: step["status"] for step in cached["steps"]}["build"] == "success"
    fresh = await post(site, ada, f"/deployments/{cached['id']}/redeploy", useCache=False)
    assert fresh["artifact"]["digest"] != digest
    restarted = await post(site, ada, "/projects/shop/restart")
    colleague = await api.member("developer")
    theirs = await post(site, colleague, f"/deployments/{restarted['id']}/redeploy")
    assert theirs["source"]["type"] == "upload"


async def test_a_redeploy_may_keep_its_variables(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    variable = await greet(ada, "one")
    first = await site.live(ada, SAYS)
    await ada.env.update(variable, value="two")
    await post(site, ada, f"/deployments/{first}/redeploy", refreshEnv=False)
    assert await site.serves() == {"one"}
    await post(site, ada, f"/deployments/{first}/redeploy")
    assert await site.serves() == {"two"}


async def test_a_deployment_of_another_ones_artifact(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    first = await site.live(ada)
    again = await site.get(ada, await site.live(ada, deploymentId=first))
    assert (again["type"], again["source"]) == ("redeploy", {"type": "deployment", "deploymentId": first})


async def test_old_artifacts_are_removed(database_url: str, tmp_path: Path, open_folder: Path) -> None:
    async with (
        api_of(database_url, tmp_path, keep_artifacts=2) as api,
        installed(api, open_folder) as site,
    ):
        ada = await api.owner()
        await site.project(ada)
        ids = [await site.live(ada, {"index.html": str(number)}) for number in range(4)]
        rows = [await site.get(ada, each) for each in ids]
        folders = [_folder(site, row) for row in rows]
        await until(lambda: [folder.exists() for folder in folders] == [False, False, True, True])
        rows = [await site.get(ada, each) for each in ids]
        assert [row["rollbackable"] for row in rows] == [False, False, True, True]
        assert [row["artifact"]["prunedAt"] is None for row in rows] == [False, False, True, True]
        assert await refused(ada, f"/deployments/{ids[0]}/rollback") == (409, "invalid_state")
        await post(site, ada, f"/deployments/{ids[2]}/rollback")
        again = await site.get(ada, await site.live(ada, {"index.html": "0"}))
        assert again["artifact"]["digest"] == rows[0]["artifact"]["digest"]
        assert again["artifact"]["prunedAt"] is None
        assert (await site.served()).status == 200


def _folder(site: Installation, row: Any) -> Path:
    digest = row["artifact"]["digest"].removeprefix("sha256:")
    return site.api.settings.home / "artifacts" / row["projectId"] / digest


async def test_a_deleted_one_takes_its_artifact_with_it(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    first, second = await site.live(ada, STATIC), await site.live(ada, {"index.html": "two"})
    row = await site.get(ada, first)
    folder = _folder(site, row)
    with pytest.raises(APIStatusError) as error:
        await ada.deployments.delete(second)
    assert (error.value.status, error.value.code) == (409, "in_use")
    assert (await ada.raw.deployments.delete(first)).status == 204
    with pytest.raises(APIStatusError) as error:
        await site.get(ada, first)
    assert error.value.status == 404
    await until(lambda: not folder.exists())
    held = "SELECT string_agg(id, ' ') FROM uploads WHERE used_at IS NOT NULL"
    while row["source"]["uploadId"] in await site.value(held):
        await asyncio.sleep(0.05)
    listed = (await ada.raw.deployments.list(project_id="shop")).data
    assert [row["id"] for row in listed] == [second]
    data = await site.value("SELECT data FROM changes WHERE type = 'deployment.deleted'")
    assert json.loads(data)["status"] == "success"


async def test_what_another_needs_is_not_removed(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    first, second = await site.live(ada, STATIC), await site.live(ada, STATIC)
    folder = _folder(site, await site.get(ada, second))
    await ada.deployments.delete(first)
    third = await site.live(ada, {"index.html": "other"})
    assert folder.exists()
    assert (await site.get(ada, second))["rollbackable"]
    assert third
