"""What can go wrong on the way, and what is said of it. What served before goes on serving."""

import asyncio
import errno
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.build.base import Artifact, BuildFailed, BuildRequest
from cygnid.edge.base import EdgeAnswer
from cygnid.resources.deployments.steps import build, health, switch
from cygnid.resources.instances import schemas as instances
from cygnid.source.base import SourceInvalid, SourceUnavailable
from tests.make.api import api_of
from tests.make.stage import APP
from tests.make.worker import STATIC, WEB, Installation, installed

SERVES_LOOPBACK = APP.replace("0.0.0.0", "127.0.0.1")
SILENT = "import time\ntime.sleep(1000)\n"
CRASHES = "import sys\nprint('boom at start')\nsys.exit(3)\n"
DEAF = """
import os, socket, time
server = socket.create_server(("0.0.0.0", int(os.environ["PORT"])))
time.sleep(1000)
"""


def app(text: str, **files: str) -> dict[str, str]:
    return {**WEB, "app.py": text, **files}


async def failed(site: Installation, ada: AsyncCygniClient, files: Mapping[str, str], **fields: Any) -> Any:
    """The failure of a deployment of these files, and what holds for all of them."""
    before = await site.live(ada)
    deployment_id = await site.deploy(ada, files, **fields)
    found = await site.end(ada, deployment_id)
    assert found["status"] == "failed"
    failure = found["failure"]
    for word in ("message", "hint"):
        assert failure[word]
    assert failure["docUrl"] == f"/docs/api/reference#{failure['code']}"
    assert not found["isCurrent"]
    assert not found["rollbackable"]
    statuses = {step["name"]: step["status"] for step in found["steps"]}
    assert statuses.pop(failure["step"]) == "failed"
    assert not {"running", "pending"} & set(statuses.values())
    assert await site.serves() == {before}
    await site.only(before)
    assert (await ada.request("GET", "/projects/shop")).data["currentDeploymentId"] == before
    assert not list((site.api.settings.home / "sources").glob("*"))
    assert await site.value("SELECT count(*) FROM deployments WHERE due_at IS NOT NULL") == 0
    return failure


async def test_a_source_that_cannot_be_used(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    files = {"a": "b"}
    deploy = site.deploy

    async def broken(*arguments: Any, **fields: Any) -> str:
        if arguments[1] == files:
            site.source.fail = SourceInvalid("../x leaves the folder.", member="../x", hint="Pack it again.")
        return await deploy(*arguments, **fields)

    site.deploy = broken  # type: ignore[method-assign]
    failure = await failed(site, ada, files)
    assert (failure["code"], failure["step"]) == ("source_invalid", "source")
    assert failure["message"] == "../x leaves the folder."
    assert failure["hint"] == "Pack it again."


async def test_a_source_that_cannot_be_read(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    site.source.fail = SourceUnavailable("The upload could not be read.")
    found = await site.end(ada, await site.deploy(ada, WEB))
    assert found["failure"]["code"] == "source_unavailable"


@pytest.mark.parametrize("code", ["build_error", "build_timeout", "build_oom", "toolchain_missing", "disk_full"])
async def test_a_build_that_fails(site: Installation, ada: AsyncCygniClient, code: Any) -> None:
    await site.project(ada)
    site.builder.fail = BuildFailed(code, "It did not work.", hint="Do this.")
    found = await site.end(ada, await site.deploy(ada, WEB))
    failure = found["failure"]
    assert (failure["code"], failure["step"], failure["message"]) == (code, "build", "It did not work.")


async def test_nothing_that_is_recognised(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    failure = await failed(site, ada, {"notes.txt": "hello"})
    assert (failure["code"], failure["step"]) == ("nothing_detected", "build")


async def test_a_full_disk(site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(request: BuildRequest) -> Artifact:
        raise OSError(errno.ENOSPC, "No space left on device")

    await site.project(ada)
    monkeypatch.setattr(site.builder, "build", full)
    found = await site.end(ada, await site.deploy(ada, WEB))
    assert found["failure"]["code"] == "disk_full"


async def test_what_nobody_foresaw(site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(request: BuildRequest) -> Artifact:
        raise KeyError("s3cret")

    await site.project(ada)
    monkeypatch.setattr(site.builder, "build", broken)
    found = await site.end(ada, await site.deploy(ada, WEB))
    assert found["failure"]["code"] == "internal"
    assert "s3cret" not in str(found)


async def test_a_secret_in_the_artifact(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    body = {"projectId": "shop", "key": "TOKEN", "value": "abcdefgh12345678", "type": "secret", "target": "both"}
    await ada.request("POST", "/env", json={**body, "environments": ["production"]})
    found = await site.end(ada, await site.deploy(ada, {**WEB, "config.txt": "token=abcdefgh12345678"}))
    assert found["failure"]["code"] == "build_error"
    assert "config.txt" in found["failure"]["message"]
    assert "abcdefgh12345678" not in str(found)


async def test_a_release_command_that_fails(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    failure = await failed(site, ada, app(APP, Procfile="web: exec python3 app.py\nrelease: echo no table; exit 4\n"))
    assert (failure["code"], failure["step"]) == ("release_command_failed", "release")
    assert "code 4" in failure["message"]
    assert failure["logExcerpt"][-1] == "no table"


async def test_an_app_that_ends_at_once(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    failure = await failed(site, ada, app(CRASHES))
    assert (failure["code"], failure["step"]) == ("start_crash", "start")
    assert failure["message"] == "The process web exited with code 3 before it listened on $PORT."
    assert failure["logExcerpt"] == ["boom at start"]


async def test_a_secret_in_the_last_lines(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    body = {"projectId": "shop", "key": "TOKEN", "value": "abcdefgh12345678", "type": "secret", "target": "runtime"}
    await ada.request("POST", "/env", json={**body, "environments": ["production"]})
    files = app("import os, sys\nprint('I am', os.environ['TOKEN'])\nsys.exit(1)\n")
    found = await site.end(ada, await site.deploy(ada, files))
    assert found["failure"]["logExcerpt"] == ["I am ***"]


async def test_a_worker_that_ends(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    files = {**WEB, "Procfile": "web: exec python3 app.py\nworker: sleep 0.1; exit 0\n"}
    failure = await failed(site, ada, files)
    assert failure["code"] == "start_crash"
    assert failure["message"] == "The process worker exited with code 0."


async def test_a_root_folder_that_is_not_there(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada, processes=[{"type": "web", "command": "cd nowhere && exec python3 app.py"}])
    found = await site.end(ada, await site.deploy(ada, WEB))
    assert found["failure"]["code"] == "start_crash"


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (SILENT, ("port_not_bound", "start", "did not listen on $PORT")),
        (DEAF, ("health_check_failed", "health", "listens, but did not answer GET /")),
    ],
)
async def test_an_app_that_does_not_answer(
    site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch, text: str, failure: tuple[str, str, str]
) -> None:
    await site.project(ada)
    before = await site.live(ada)
    monkeypatch.setattr(instances, "START_SECONDS", 2)
    found = (await site.end(ada, await site.deploy(ada, app(text))))["failure"]
    assert (found["code"], found["step"]) == failure[:2]
    assert failure[2] in found["message"]
    assert await site.serves() == {before}


async def test_an_app_that_answers_with_an_error(
    site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.project(ada)
    before = await site.live(ada)
    monkeypatch.setattr(instances, "START_SECONDS", 2)
    found = await site.end(ada, await site.deploy(ada, app(APP.replace("else 200", "else 500"))))
    assert (found["failure"]["code"], found["failure"]["step"]) == ("health_check_failed", "health")
    assert found["failure"]["message"] == "The process web answered GET / with 500; below 500 is healthy."
    assert await site.serves() == {before}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SILENT, "The process web does not listen on $PORT"),
        (DEAF, "The process web listens, but does not answer GET / so far"),
        (APP.replace("else 200", "else 500"), "The process web answers GET / with 500 so far"),
    ],
)
async def test_who_watches_is_told_what_is_awaited(
    site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    await site.project(ada)
    monkeypatch.setattr(instances, "START_SECONDS", 6)
    monkeypatch.setattr(health, "_PROBE_SECONDS", 0.5)
    # long enough for it to have begun to listen
    monkeypatch.setattr(health, "_QUIET_SECONDS", 3)
    deployment_id = await site.deploy(ada, app(text))
    async with ada.stream(f"/deployments/{deployment_id}/logs/stream") as stream:
        told = [event.data["message"] async for event in stream if event.event == "log"]
    assert len([message for message in told if message.startswith(said)]) == 1


async def test_a_strict_health_check(site: Installation, ada: AsyncCygniClient) -> None:
    check = {"path": "/up", "timeoutSeconds": 1}
    await site.project(ada, processes=[{"type": "web", "healthCheck": check}])
    found = await site.end(ada, await site.deploy(ada, app(APP.replace("else 200", "else 404"))))
    assert found["failure"]["code"] == "health_check_failed"
    assert found["failure"]["message"] == "The process web answered GET /up with 404; 200 to 399 is healthy."


async def test_an_app_that_listens_elsewhere(
    site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake runtime's instances share the machine's ports, so the machine's word is changed."""
    await site.project(ada)
    monkeypatch.setattr(instances, "START_SECONDS", 1)
    observe = site.backends.runtime.observe

    async def elsewhere() -> Any:
        return [replace(each, listening="no", other_ports=(3000,)) for each in await observe()]

    monkeypatch.setattr(site.backends.runtime, "observe", elsewhere)
    found = await site.end(ada, await site.deploy(ada, app(SILENT)))
    assert found["failure"]["code"] == "port_not_bound"
    assert found["failure"]["message"].endswith("within 1 seconds, but on 3000.")


async def test_an_app_that_only_hears_itself(
    site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake runtime's instances are on loopback, so the machine's word is changed."""
    await site.project(ada)
    monkeypatch.setattr(health, "_LOOPBACK_SECONDS", 0.2)
    observe = site.backends.runtime.observe

    async def loopback() -> Any:
        return [replace(each, listening="loopbackOnly") for each in await observe()]

    monkeypatch.setattr(site.backends.runtime, "observe", loopback)
    found = await site.end(ada, await site.deploy(ada, app(SILENT)))
    assert (found["failure"]["code"], found["failure"]["step"]) == ("port_not_bound", "start")
    assert "127.0.0.1 only" in found["failure"]["message"]


async def test_too_much_memory(site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.project(ada)
    observe = site.backends.runtime.observe

    async def killed() -> Any:
        seen = await observe()
        return [replace(each, exit=each.exit and replace(each.exit, out_of_memory=True)) for each in seen]

    monkeypatch.setattr(site.backends.runtime, "observe", killed)
    found = await site.end(ada, await site.deploy(ada, app(CRASHES)))
    assert found["failure"]["code"] == "out_of_memory"
    assert "512 MB" in found["failure"]["message"]
    assert "1024" in found["failure"]["hint"]


async def test_no_good_answer_through_the_edge(
    site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "ANSWER_SECONDS", 0.5)
    await site.project(ada)
    before = await site.live(ada)
    site.edge.answer = EdgeAnswer(status=502, error=None)
    found = await site.end(ada, await site.deploy(ada, WEB))
    assert (found["failure"]["code"], found["failure"]["step"]) == ("switch_failed", "switch")
    await site.only(before)
    assert await site.serves() == {before}


async def test_the_first_one_without_a_good_answer_leaves_no_route(
    site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "ANSWER_SECONDS", 0.5)
    await site.project(ada)
    site.edge.answer = EdgeAnswer(status=None, error="refused")
    found = await site.end(ada, await site.deploy(ada, STATIC))
    assert found["failure"]["code"] == "switch_failed"
    assert found["url"] is None
    await site.only()


async def test_recreate_brings_the_old_back(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    before = await site.live(ada, WEB, strategy="recreate")
    found = await site.end(ada, await site.deploy(ada, app(CRASHES), strategy="recreate"))
    assert found["failure"]["code"] == "start_crash"
    await site.only(before)
    async with asyncio.timeout(60):
        while (await site.served()).status != 200:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("setting", "failure"),
    [
        ("build_timeout_seconds", ("build_timeout", "build")),
        ("release_timeout_seconds", ("step_timeout", "release")),
        ("switch_timeout_seconds", ("switch_failed", "switch")),
        ("deployment_timeout_seconds", ("step_timeout", "build")),
    ],
)
async def test_what_takes_too_long(
    database_url: str,
    tmp_path: Path,
    open_folder: Path,
    *,
    setting: str,
    failure: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "_SEALING_SECONDS", 0)  # which the step leaves to a builder beyond the limit
    limits: dict[str, Any] = {setting: 0.5}
    async with api_of(database_url, tmp_path, **limits) as api, installed(api, open_folder) as site:
        ada = await api.owner()
        await site.project(ada)
        procfile = "web: exec python3 app.py\n"
        if failure[1] == "build":
            site.builder.hold = asyncio.Event()
        elif failure[1] == "release":
            procfile += "release: sleep 100\n"
        else:
            await site.edge.stop()
        found = await site.end(ada, await site.deploy(ada, {**WEB, "Procfile": procfile}))
        assert (found["failure"]["code"], found["failure"]["step"]) == failure
