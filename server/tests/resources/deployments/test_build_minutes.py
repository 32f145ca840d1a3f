"""What builds take is counted, however they end, and what waits longer than the minutes last does not begin."""

import asyncio

import pytest

from cygni import AsyncCygniClient
from cygnid.build.base import BuildFailed
from cygnid.core import db, quotas
from cygnid.core.plans import PLANS, Plan
from tests.make.worker import STATIC, Installation


async def seconds(site: Installation) -> int:
    async with db.read(site.api.pool) as read:
        return await quotas.used(read, site.api.team_id, "buildMinutes")


async def test_a_build_counts_whether_it_ends_well_or_not(site: Installation, ada: AsyncCygniClient) -> None:
    await site.project(ada)
    first = await site.live(ada, STATIC)
    once = await seconds(site)
    assert once >= 1
    await site.live(ada, deploymentId=first)
    assert await seconds(site) == once  # no build
    site.builder.fail = BuildFailed("build_error", "No.", hint="Try.")
    assert (await site.end(ada, await site.deploy(ada, {"index.html": "two"})))["status"] == "failed"
    assert await seconds(site) > once


async def test_what_waits_until_the_minutes_are_over_does_not_begin(
    site: Installation, ada: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLANS, "free", Plan(per_minute=None, per_hour=None, quotas={"buildMinutes": 1}))
    await site.execute("UPDATE teams SET plan = 'free'")
    await site.project(ada)
    site.builder.hold = asyncio.Event()
    holding = await site.deploy(ada, STATIC)
    await site.step(ada, holding, "build")
    waiting = await site.deploy(ada, {"index.html": "two"})
    async with db.begin(site.api.pool) as tx:
        await quotas.add(tx, site.api.team_id, "buildMinutes", 60)
    site.builder.hold.set()
    assert (await site.end(ada, holding))["status"] == "success"
    failed = await site.end(ada, waiting)
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "quota_exceeded")
    assert "1 minutes of builds a month" in failed["failure"]["message"]
