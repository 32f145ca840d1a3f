"""What the installation says of itself: what it can do, what is left of the rate limit, its contract."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cygni import AsyncCygniClient
from cygnid.core import clock, db
from cygnid.core.openapi_profile import violations
from cygnid.core.plans import PLANS
from cygnid.resources.platform.actions import Found, FoundLanguage, FoundSandbox, store_capabilities
from tests.make.api import Api, api_of
from tests.make.asgi import StreamingASGITransport
from tests.make.calls import refused

FOUND = Found(
    runtime="process",
    builders=["process"],
    languages=[FoundLanguage(name="python", versions=["3.11", "3.12"])],
    sandbox=FoundSandbox(own_user=True, cgroups="v2", own_network=False),
)
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def time() -> Iterator[list[datetime]]:
    now = [START]
    clock.set_clock(lambda: now[0])
    yield now
    clock.set_clock(None)


async def test_capabilities_are_known_once_a_worker_has_looked(api: Api) -> None:
    client = await api.owner()
    error = await refused(client.request("GET", "/capabilities"))
    assert (error.status, error.code) == (503, "unavailable")
    async with db.begin(api.pool) as tx:
        await store_capabilities(tx, FOUND)
    data = (await client.request("GET", "/capabilities")).data
    assert data.pop("version")
    assert data == {
        "baseDomain": "localhost",
        "appsUrl": "http://{host}.localhost:8001",
        "runtime": "process",
        "builders": ["process"],
        "languages": [{"name": "python", "versions": ["3.11", "3.12"]}],
        "strategies": ["rolling", "recreate"],
        "archiveTypes": ["application/gzip", "application/zstd", "application/zip"],
        "maxUploadBytes": api.settings.max_upload_bytes,
        "sandbox": {"ownUser": True, "cgroups": "v2", "ownNetwork": False},
        "features": [],
    }
    assert (await refused(api.client("").request("GET", "/capabilities"))).status == 401


async def test_the_contract_is_public_bare_and_conditional(api: Api) -> None:
    async with httpx2.AsyncClient(transport=StreamingASGITransport(api.app), base_url="http://test") as client:
        answer = await client.get("/v1/openapi.json")
        assert answer.json()["openapi"].startswith("3.1")
        assert "/v1/openapi.json" in answer.json()["paths"]
        assert violations(answer.json()) == []
        again = await client.get("/v1/openapi.json", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_command_prints_what_is_served(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    from cygnid.__main__ import main

    assert main(["openapi"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert "/v1/capabilities" in printed["paths"]


async def windows(client: AsyncCygniClient) -> dict[str, tuple[int, int]]:
    data: dict[str, Any] = (await client.request("GET", "/rate-limit")).data
    return {window["name"]: (window["remaining"], window["limit"]) for window in data["windows"]}


@pytest.mark.parametrize("plan", ["free", "pro", "enterprise"])
async def test_each_plan_has_its_limits(plan: str, database_url: str, tmp_path: Path, time: list[datetime]) -> None:
    minute, hour = PLANS[plan].per_minute, PLANS[plan].per_hour
    async with api_of(database_url, tmp_path, plan=plan) as api:
        client, other = api.client(await api.token()), await api.outsider()
        if minute is None or hour is None:
            assert await windows(client) == {}
            answer = await client.request("GET", "/")
            assert not [name for name in answer.headers if "ratelimit" in name.lower()]
            return
        for _ in range(minute):
            await client.request("GET", "/")
        assert await windows(client) == {"perMinute": (0, minute), "perHour": (hour - minute, hour)}
        error = await refused(client.request("GET", "/"))
        assert (error.status, error.code, error.details["window"]) == (429, "rate_limited", "perMinute")
        assert error.details["retryAfterSeconds"] == 60
        assert (await windows(other))["perMinute"] == (minute, minute), "a team's requests are its own"
        time[0] += timedelta(seconds=60)
        await client.request("GET", "/")
        assert await windows(client) == {"perMinute": (minute - 1, minute), "perHour": (hour - minute - 1, hour)}
