"""The second factor: enrolled, asked for, its codes taken once, recovered from, disabled."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyotp.totp import TOTP

from cygni import AsyncCygniClient
from cygnid.core import db
from cygnid.up.first import new_reset_token
from tests.make.api import Api, api_of
from tests.make.calls import refused
from tests.make.letters import SMTP, letters
from tests.make.people import PASSWORD, give_password
from tests.resources.auth.test_sign_in import ADA, audit
from tests.resources.tokens.test_routes import Clock, time

__all__ = ["time"]  # a fixture


@pytest.fixture
async def mailing(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_of(database_url, tmp_path, **SMTP) as made:
        async with db.begin(made.pool) as tx:
            await give_password(tx, made.owner_id)
        yield made


@pytest.fixture
async def ada(mailing: Api) -> AsyncIterator[AsyncCygniClient]:
    async with mailing.client(await mailing.session(mailing.owner_id)) as client:
        yield client


async def post(client: AsyncCygniClient, path: str, **body: Any) -> Any:
    return await client.request("POST", f"/auth/{path}", json=body)


class Device:
    """An authenticator, by the test's clock."""

    def __init__(self, secret: str, time: Clock) -> None:
        self._totp, self._time = TOTP(secret), time

    def code(self, steps: int = 0) -> str:
        return self._totp.at(self._time.now, counter_offset=steps)


async def enrolled(ada: AsyncCygniClient, time: Clock) -> tuple[Device, list[str]]:
    made = await post(ada, "two-factor/enroll", currentPassword=PASSWORD)
    device = Device(made.data["secret"], time)
    confirmed = await post(ada, "two-factor/confirm", otp=device.code())
    assert confirmed.headers["cache-control"] == "no-store"
    time.now += timedelta(seconds=30)
    return device, confirmed.data["recoveryCodes"]


async def log_in(api: Api, **fields: str) -> Any:
    return await post(api.client(""), "login", email=ADA, password=PASSWORD, **fields)


async def test_it_is_asked_for_once_it_is_confirmed(mailing: Api, ada: AsyncCygniClient, time: Clock) -> None:
    made = await post(ada, "two-factor/enroll", currentPassword=PASSWORD)
    assert made.data["otpauthUrl"].startswith("otpauth://totp/Cygni:ada%40example.test?secret=")
    assert made.headers["cache-control"] == "no-store"
    assert (await log_in(mailing)).data["kind"] == "session"  # not yet
    wrong = await refused(post(ada, "two-factor/confirm", otp="000000"))
    assert (wrong.status, wrong.code) == (401, "invalid_credentials")
    device, codes = await enrolled(ada, time)
    assert len(set(codes)) == 10
    asked = await refused(log_in(mailing))
    assert (asked.status, asked.code) == (401, "otp_required")
    unknown = await refused(post(mailing.client(""), "login", email=ADA, password="wrong", otp=device.code()))
    assert unknown.code == "invalid_credentials"
    assert (await log_in(mailing, otp=device.code())).data["kind"] == "session"
    assert (await ada.request("GET", "/me")).data["user"]["twoFactorEnabled"] is True
    [told] = await letters(mailing)
    assert (told.to, "second factor is asked for" in told.text) == (ADA, True)
    [row] = await audit(mailing, "user.two_factor_enabled")
    stored = await mailing.pool.fetchval("SELECT secret FROM second_factors")
    assert device._totp.secret.encode() not in stored
    assert device._totp.secret not in str(row)
    *_, last = await audit(mailing, "user.signed_in")
    assert '"secondFactor":"totp"' in last["data"]


async def test_a_code_is_taken_once_and_clocks_may_be_a_step_apart(
    mailing: Api, ada: AsyncCygniClient, time: Clock
) -> None:
    device, _ = await enrolled(ada, time)
    for steps in (-2, 2):
        assert (await refused(log_in(mailing, otp=device.code(steps)))).code == "invalid_credentials"
    time.now += timedelta(minutes=1)
    tries = await asyncio.gather(*(log_in(mailing, otp=device.code(-1)) for _ in range(3)), return_exceptions=True)
    assert len([one for one in tries if not isinstance(one, BaseException)]) == 1
    code = device.code()
    await log_in(mailing, otp=f"{code[:3]} {code[3:]}")
    for used in (code, device.code(-1)):
        assert (await refused(log_in(mailing, otp=used))).code == "invalid_credentials"
    await log_in(mailing, otp=device.code(1))


@pytest.mark.parametrize("otp", ["", "12345", "1234567", "abcdef", "\uff11" * 6, "BBBB-BBBB-BBBB", "x" * 41])
async def test_what_is_no_code_is_none(mailing: Api, ada: AsyncCygniClient, time: Clock, otp: str) -> None:
    await enrolled(ada, time)
    assert (await refused(log_in(mailing, otp=otp))).status in (400, 401)


async def test_codes_are_not_guessed(mailing: Api, ada: AsyncCygniClient, time: Clock) -> None:
    device, _ = await enrolled(ada, time)
    for _ in range(10):
        await refused(log_in(mailing, otp="000000"))
    assert (await refused(log_in(mailing, otp=device.code()))).status == 429
    for _ in range(9):
        await refused(post(ada, "two-factor/disable", currentPassword=PASSWORD, otp="000000"))
    await refused(post(ada, "two-factor/disable", currentPassword=PASSWORD, otp="000000"))
    error = await refused(post(ada, "two-factor/disable", currentPassword=PASSWORD, otp=device.code()))
    assert error.status == 429


async def test_a_recovery_code_lets_in_once(mailing: Api, ada: AsyncCygniClient, time: Clock) -> None:
    _, codes = await enrolled(ada, time)
    assert (await log_in(mailing, otp=codes[0].lower().replace("-", " "))).data["kind"] == "session"
    assert (await refused(log_in(mailing, otp=codes[0]))).code == "invalid_credentials"
    await log_in(mailing, otp=codes[1])
    assert await mailing.pool.fetchval("SELECT count(*) FROM recovery_codes") == 8


async def test_it_is_disabled_by_who_has_it(mailing: Api, ada: AsyncCygniClient, time: Clock) -> None:
    nothing = await refused(post(ada, "two-factor/disable", currentPassword=PASSWORD, otp="123456"))
    assert (nothing.status, nothing.code) == (409, "invalid_state")
    device, codes = await enrolled(ada, time)
    twice = await refused(post(ada, "two-factor/enroll", currentPassword=PASSWORD))
    assert (twice.status, twice.code) == (409, "invalid_state")
    for body in ({"currentPassword": "wrong", "otp": device.code()}, {"currentPassword": PASSWORD, "otp": "000000"}):
        assert (await refused(post(ada, "two-factor/disable", **body))).status == 401
    assert (await post(ada, "two-factor/disable", currentPassword=PASSWORD, otp=codes[0])).status == 204
    await log_in(mailing)
    assert len(await audit(mailing, "user.two_factor_disabled")) == 1
    assert await mailing.pool.fetchval("SELECT count(*) FROM recovery_codes") == 0


async def test_a_reset_by_mail_leaves_it_and_the_operator_may_remove_it(
    mailing: Api, ada: AsyncCygniClient, time: Clock
) -> None:
    device, _ = await enrolled(ada, time)
    for keep in (True, False):
        secret = await new_reset_token(mailing.pool, ADA, keep_second_factor=keep)
        await post(mailing.client(""), "password-reset/confirm", resetToken=secret, newPassword=PASSWORD)
        if keep:
            assert (await refused(log_in(mailing))).code == "otp_required"
            await log_in(mailing, otp=device.code())
    await log_in(mailing)
