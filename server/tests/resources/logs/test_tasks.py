"""What the worker runs: the tailer with the project's own secrets, and days that come and go."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cygnid.core import clock, db
from cygnid.core.actors import SYSTEM
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.resources.env import actions as env
from cygnid.resources.logs import store, tasks
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.access import ProjectAccess
from tests.make.api import Api
from tests.resources.logs.harness import Shop, shop_of


@pytest.fixture
async def shop(api: Api, tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_of(api, tmp_path) as made:
        yield made


def backends(api: Api) -> Any:
    return SimpleNamespace(
        settings=api.settings,
        pool=api.pool,
        secrets=Secrets(api.settings.key()),
        wakeups=Wakeups(api.settings.database_url),
    )


async def test_a_secret_of_the_project_is_masked(shop: Shop, api: Api) -> None:
    async with db.begin(api.pool) as tx:
        project = await projects.project(tx, shop.project_id)
        assert project is not None
        access = ProjectAccess(actor=SYSTEM, team_id=api.team_id, permissions=frozenset(), project=project)
        secrets = Secrets(api.settings.key())
        await env.create(tx, secrets, access, key="PASSWORD", value="correct-horse", environments=["production"])
    given = backends(api)
    running = [asyncio.create_task(given.wakeups.run()), asyncio.create_task(tasks.tail(given))]
    try:
        path = await shop.open("a")
        path.write_text("the password is correct-horse\n")
        assert [line.message for line in await shop.see(1)] == ["the password is ***"]
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_days_are_made_ahead_and_dropped_after_retention(shop: Shop, api: Api) -> None:
    now = clock.now()
    clock.set_clock(lambda: now - timedelta(days=9))
    try:
        await shop.open("old")
        (shop.folder / "old").write_text("old\n")
        tailer = shop.tailer()
        await tailer.begin()
        await tailer.look()
        assert await shop.messages() == ["old"]
    finally:
        clock.set_clock(None)
    await tasks.keep_days(backends(api))
    assert await shop.messages() == []
    async with db.begin(shop.pool) as tx:
        days = await store.days(tx)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    assert today in days
    assert today + timedelta(days=1) in days
    assert min(days) >= today - timedelta(days=7)


async def test_files_that_no_stream_names_are_deleted_when_they_are_old(shop: Shop, api: Api) -> None:
    folder = api.settings.home / "logs" / "instances"
    folder.mkdir(parents=True)
    shop.folder = folder
    kept, fresh, old = await shop.open("kept.out"), folder / "fresh.out", folder / "old.out"
    for path in (kept, fresh, old):
        path.write_text("x\n")
    for path in (kept, old):
        os.utime(path, (time.time() - 7200,) * 2)
    await tasks.keep_days(backends(api))
    assert sorted(path.name for path in folder.iterdir()) == ["fresh.out", "kept.out"]
