"""What every Builder promises, held against the real one and its fake."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cygnid.build.base import BuildFailed, BuildSettings
from tests.build.harness import Workshop, workshop
from tests.fakes.builder import FakeBuilder

APP = {"Procfile": "web: ./serve\nworker: ./work\n", "serve": "#!/bin/sh\n", "lib/code": "1"}


@pytest.fixture(params=["process", "fake"])
async def shop(request: pytest.FixtureRequest) -> AsyncIterator[Workshop]:
    async with workshop() as shop:
        if request.param == "fake":
            shop.builder = FakeBuilder(shop.folder / "data")
        yield shop


async def test_the_artifact_holds_the_app_and_says_how_it_starts(shop: Workshop) -> None:
    artifact = await shop.builder.build(shop.request(APP))
    assert (artifact.path / "lib/code").read_text() == "1"
    assert {process.type: process.command for process in artifact.plan.processes} == {
        "web": "./serve",
        "worker": "./work",
    }
    assert (artifact.kind, artifact.reused) == ("release", False)
    assert artifact.size_bytes == sum(len(content) for content in APP.values())
    assert "process web: ./serve (Procfile)" in shop.log


async def test_nobody_else_can_change_an_artifact(shop: Workshop) -> None:
    artifact = await shop.builder.build(shop.request(APP))
    paths = [artifact.path, *artifact.path.rglob("*")]
    assert [path for path in paths if not path.is_symlink() and path.stat().st_mode & 0o022] == []
    assert {path.stat().st_uid for path in paths} == {os.getuid()}
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in paths)


async def test_equal_inputs_are_not_built_again(shop: Workshop) -> None:
    first = await shop.builder.build(shop.request(APP))
    second = await shop.builder.build(shop.request(APP))
    assert (first.reused, second.reused) == (False, True)
    assert (first.digest, first.path, first.size_bytes) == (second.digest, second.path, second.size_bytes)


@pytest.mark.parametrize("change", ["tree", "settings", "env", "nonce", "environment"])
async def test_any_other_input_is_another_artifact(shop: Workshop, change: str) -> None:
    first = await shop.builder.build(shop.request(APP))
    changed = {
        "tree": shop.request({**APP, "lib/code": "2"}),
        "settings": shop.request(APP, settings=BuildSettings(build_command="true")),
        "env": shop.request(APP, env={"MODE": "fast"}),
        "nonce": shop.request(APP, nonce="dep_1"),
        "environment": shop.request(APP, environment_id="env_b"),
    }
    second = await shop.builder.build(changed[change])
    assert not second.reused
    assert second.digest != first.digest
    assert (first.path / "lib/code").read_text() == "1"


async def test_nothing_recognised_fails_and_leaves_nothing(shop: Workshop) -> None:
    with pytest.raises(BuildFailed) as caught:
        await shop.builder.build(shop.request({"readme": ""}))
    assert caught.value.code == "nothing_detected"
    assert caught.value.hint
    assert shop.leftovers == []


async def test_a_secret_in_the_release_fails_naming_the_file_and_not_the_value(shop: Workshop) -> None:
    secret = "s3cr3t-value-of-the-token"
    request = shop.request({**APP, "lib/settings": f"token = {secret}"}, secrets={"API_TOKEN": secret})
    with pytest.raises(BuildFailed) as caught:
        await shop.builder.build(request)
    assert caught.value.code == "build_error"
    assert "API_TOKEN" in caught.value.message
    assert "lib/settings" in caught.value.message
    assert secret not in caught.value.message + caught.value.hint
    assert shop.leftovers == []


async def test_a_cancelled_build_leaves_no_half_artifact(shop: Workshop) -> None:
    request = shop.request(APP, settings=BuildSettings(build_command="echo begun; sleep 600"))
    if isinstance(shop.builder, FakeBuilder):
        shop.builder.hold = asyncio.Event()
    task = asyncio.create_task(shop.builder.build(request))
    async with asyncio.timeout(30):
        if isinstance(shop.builder, FakeBuilder):
            await shop.builder.started.wait()
        else:
            await shop.said("begun")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shop.leftovers == []
    if isinstance(shop.builder, FakeBuilder):
        shop.builder.hold = None
    again = await shop.builder.build(replace(request, settings=BuildSettings(build_command="true")))
    assert not again.reused


async def test_what_runs_and_what_was_made_is_listed(shop: Workshop) -> None:
    request = shop.request(APP, settings=BuildSettings(build_command="echo begun; sleep 600"))
    if isinstance(shop.builder, FakeBuilder):
        shop.builder.hold = asyncio.Event()
    task = asyncio.create_task(shop.builder.build(request))
    async with asyncio.timeout(30):
        if isinstance(shop.builder, FakeBuilder):
            await shop.builder.started.wait()
        else:
            await shop.said("begun")
    found = await shop.builder.inventory()
    assert (found.builds, found.artifacts) == ({request.id}, frozenset())
    task.cancel()
    await asyncio.wait({task})
    if isinstance(shop.builder, FakeBuilder):
        shop.builder.hold = None
    artifact = await shop.builder.build(shop.request(APP))
    found = await shop.builder.inventory()
    assert (found.builds, found.artifacts) == (frozenset(), {("proj_a", artifact.digest)})
    await shop.builder.remove("proj_a", artifact.digest)
    assert (await shop.builder.inventory()).artifacts == frozenset()


async def test_removing_is_idempotent_and_takes_only_what_is_named(shop: Workshop) -> None:
    one = await shop.builder.build(shop.request(APP))
    two = await shop.builder.build(shop.request({**APP, "lib/code": "2"}))
    for _ in range(2):
        await shop.builder.remove("proj_a", one.digest)
    assert not one.path.exists()
    assert two.path.exists()
    assert not (await shop.builder.build(shop.request(APP))).reused


async def test_removing_an_environment_leaves_what_was_built_for_it(shop: Workshop) -> None:
    artifact = await shop.builder.build(shop.request(APP))
    for _ in range(2):
        await shop.builder.remove_environment("proj_a", "env_a")
    assert artifact.path.exists()
    assert (await shop.builder.build(shop.request(APP))).reused


async def test_removing_a_project_takes_all_of_it_and_nothing_else(shop: Workshop) -> None:
    mine = await shop.builder.build(shop.request(APP))
    other = await shop.builder.build(shop.request(APP, project_id="proj_b"))
    for _ in range(2):
        await shop.builder.remove_project("proj_a")
    assert not mine.path.exists()
    assert other.path.exists()


async def test_killing_what_does_not_run_does_nothing(shop: Workshop) -> None:
    await shop.builder.kill("dep_never.1")


async def test_languages_come_with_their_versions(shop: Workshop) -> None:
    languages = dict(await shop.builder.languages())
    assert languages["python"]
    assert all(version[0].isdigit() for versions in languages.values() for version in versions)
