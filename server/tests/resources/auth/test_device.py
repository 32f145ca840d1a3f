"""Signing in on a device: the code is shown here and typed there, once, in time, and not too often."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from cygni import AsyncCygniClient
from tests.make.api import Api
from tests.make.calls import refused
from tests.resources.auth.test_sign_in import audit
from tests.resources.tokens.test_routes import Clock, time

__all__ = ["time"]  # a fixture


@pytest.fixture
async def ada(api: Api) -> AsyncIterator[AsyncCygniClient]:
    async with api.client(await api.session(api.owner_id)) as client:
        yield client


class Device:
    def __init__(self, api: Api, codes: dict[str, Any]) -> None:
        self.codes = codes
        self._client = api.client("")

    @classmethod
    async def of(cls, api: Api) -> "Device":
        return cls(api, (await api.client("").request("POST", "/auth/device")).data)

    async def ask(self) -> Any:
        code = {"deviceCode": self.codes["deviceCode"]}
        return (await self._client.request("POST", "/auth/device/token", json=code)).data

    async def told(self) -> str:
        error = await refused(self.ask())
        assert error.status == 400
        return error.code


async def approve(client: AsyncCygniClient, user_code: str, *, yes: bool = True) -> None:
    await client.request("POST", "/auth/device/approve", json={"userCode": user_code, "approve": yes})


async def test_a_device_is_let_in_by_who_types_its_code(api: Api, ada: AsyncCygniClient, time: Clock) -> None:
    device = await Device.of(api)
    codes = device.codes
    assert (codes["interval"], codes["expiresIn"]) == (5, 600)
    assert codes["verificationUri"] == "http://127.0.0.1:8000/docs/people#a-new-device"
    assert await device.told() == "authorization_pending"
    await approve(ada, codes["userCode"].lower().replace("-", ""))
    session = await device.ask()
    assert (session["kind"], session["userId"]) == ("session", api.owner_id)
    assert (await api.client(session["secret"]).request("GET", "/me")).data["user"]["id"] == api.owner_id
    assert await device.told() == "expired_token"
    *_, row = await audit(api, "user.signed_in")
    assert '"method":"device"' in row["data"]


async def test_one_of_many_questions_gets_the_session(api: Api, ada: AsyncCygniClient) -> None:
    device = await Device.of(api)
    await approve(ada, device.codes["userCode"])
    asked = await asyncio.gather(*(device.ask() for _ in range(4)), return_exceptions=True)
    assert len([one for one in asked if not isinstance(one, BaseException)]) == 1


async def test_who_asks_too_often_is_slowed_down(api: Api, ada: AsyncCygniClient, time: Clock) -> None:
    device = await Device.of(api)
    told: list[str] = []
    for seconds in (0, 2, 10, 5, 15):
        time.now += timedelta(seconds=seconds)
        told.append(await device.told())
    pending, slow = "authorization_pending", "slow_down"
    assert told == [pending, slow, pending, slow, pending]  # each time too early, five seconds longer
    await approve(ada, device.codes["userCode"])
    assert (await device.ask())["kind"] == "session"  # what is decided is told at once


async def test_no_means_no(api: Api, ada: AsyncCygniClient) -> None:
    device = await Device.of(api)
    await approve(ada, device.codes["userCode"], yes=False)
    late = await refused(approve(ada, device.codes["userCode"]))
    assert (late.status, late.details["field"]) == (400, "userCode")
    assert await device.told() == "access_denied"
    assert await device.told() == "expired_token"


async def test_a_code_ends_after_ten_minutes(api: Api, ada: AsyncCygniClient, time: Clock) -> None:
    device, decided = await Device.of(api), await Device.of(api)
    await approve(ada, decided.codes["userCode"])
    time.now += timedelta(minutes=10)
    assert (await refused(approve(ada, device.codes["userCode"]))).details["field"] == "userCode"
    assert [await device.told(), await decided.told()] == ["expired_token", "expired_token"]


async def test_codes_of_others_are_not_guessed(api: Api, ada: AsyncCygniClient) -> None:
    device = await Device.of(api)
    for _ in range(10):
        assert (await refused(approve(ada, "BBBB-BBBB"))).status == 400
    assert (await refused(approve(ada, device.codes["userCode"]))).status == 429
    by_token = api.client(await api.token(api.owner_id))
    assert (await refused(approve(by_token, device.codes["userCode"]))).code == "session_required"
