"""A team's plan says how many bytes of log lines are stored in a day."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from cygnid.core import db, quotas
from cygnid.core.plans import PLANS, Plan
from tests.make.api import Api
from tests.resources.logs.harness import Shop, shop_of


@pytest.fixture
async def shop(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setitem(PLANS, "free", Plan(per_minute=100, per_hour=1000, quotas={"logBytes": 100}))
    async with db.begin(api.pool) as tx:
        await tx.execute("UPDATE teams SET plan = 'free' WHERE id = $1", api.team_id)
    async with shop_of(api, tmp_path) as made:
        yield made


async def test_what_is_beyond_it_is_dropped_and_said_once(api: Api, shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer()
    await tailer.begin()
    path.write_text("".join(f"{number} {'x' * 28}\n" for number in range(1, 8)))
    await tailer.look()
    with path.open("a") as file:
        file.write("short\n")
    await tailer.look()
    await tailer.look()
    lines = await shop.lines()
    assert [line.message[:2] for line in lines if line.source == "app"] == ["1 ", "2 ", "3 "]
    (said,) = [line for line in lines if line.source == "system"]
    assert said.level == "warn"
    assert "100 bytes of logs a day" in said.message
    async with db.read(api.pool) as read:
        assert await quotas.used(read, api.team_id, "logBytes") == 100
        told = await read.all(_Told, "SELECT resource_name AS name FROM changes WHERE type = 'quota.exceeded'")
        assert [row.name for row in told] == ["logBytes"]
        # what was dropped is behind it: nothing is read again
        (stream,) = await shop.streams()
        assert stream.position == path.stat().st_size


async def test_a_larger_plan_counts_at_once(api: Api, shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer()
    await tailer.begin()
    path.write_text("x" * 200 + "\n")
    await tailer.look()
    async with db.begin(api.pool) as tx:
        await tx.execute("UPDATE teams SET plan = 'enterprise' WHERE id = $1", api.team_id)
    with path.open("a") as file:
        file.write("y" * 200 + "\n")
    await tailer.look()
    assert [line.message[:1] for line in await shop.lines() if line.source == "app"] == ["y"]
    async with db.read(api.pool) as read:
        assert await quotas.used(read, api.team_id, "logBytes") == 300


class _Told(msgspec.Struct, frozen=True):
    name: str
