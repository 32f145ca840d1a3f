"""Routes of the second factor."""

from cygnid.core.db import begin
from cygnid.core.errors import InvalidState, RateLimited
from cygnid.core.http import Answer, Call, operation
from cygnid.resources.auth import credentials, second_factor
from cygnid.resources.auth.account import Checked
from cygnid.resources.auth.schemas import (
    InvalidCredentials,
    RecoveryCodes,
    TwoFactorConfirmInput,
    TwoFactorDisableInput,
    TwoFactorEnrollInput,
    TwoFactorEnrollment,
)
from cygnid.resources.auth.throttle import Attempt


@operation(
    "POST",
    "/v1/auth/two-factor/enroll",
    id="auth.enrollTwoFactor",
    needs="session",
    answers=TwoFactorEnrollment,
    errors=[InvalidCredentials, InvalidState, RateLimited],
    replayable=False,
    example={"currentPassword": "three unlikely words"},
)
async def enroll(call: Call, data: TwoFactorEnrollInput) -> Answer:
    """Begin to use a second factor: a secret for an authenticator, asked for once it is confirmed."""
    checked = await Checked.of(call, data.current_password)
    async with begin(call.services.pool) as tx:
        await checked.hold(tx)
        if (await credentials.own(tx, call.actor)).two_factor_enabled:
            raise InvalidState("There is a second factor already.", hint="Disable it first.")
        secret = await second_factor.enroll(tx, call.services.secrets, checked.user.id)
    account = checked.user.email or checked.user.name
    return Answer(
        data=TwoFactorEnrollment(secret=secret, otpauth_url=second_factor.url(secret, account)), has_secret=True
    )


@operation(
    "POST",
    "/v1/auth/two-factor/confirm",
    id="auth.confirmTwoFactor",
    needs="session",
    answers=RecoveryCodes,
    errors=[InvalidCredentials, InvalidState, RateLimited],
    replayable=False,
    example={"otp": "123456"},
)
async def confirm(call: Call, data: TwoFactorConfirmInput) -> Answer:
    """Confirm the second factor by its first code; the answer is ten codes for when the device is gone."""
    services = call.services
    attempt = await _counted(call)
    async with begin(services.pool) as tx:
        if (await credentials.own(tx, call.actor)).two_factor_enabled:
            raise InvalidState("There is a second factor already.", hint="Disable it first.")
        codes = await second_factor.confirm(tx, services.secrets, call.actor.user_id or "", data.otp)
        if codes is None:
            raise _wrong()
        await attempt.succeeded(tx)
        await credentials.set_two_factor(tx, services, call.actor, is_on=True, request_id=call.request_id)
    return Answer(data=RecoveryCodes(recovery_codes=codes), has_secret=True)


@operation(
    "POST",
    "/v1/auth/two-factor/disable",
    id="auth.disableTwoFactor",
    needs="session",
    status=204,
    errors=[InvalidCredentials, InvalidState, RateLimited],
    replayable=False,
    example={"currentPassword": "three unlikely words", "otp": "123456"},
)
async def disable(call: Call, data: TwoFactorDisableInput) -> None:
    """Use no second factor any more; needs the password and a code, of the device or of recovery."""
    services = call.services
    checked = await Checked.of(call, data.current_password)
    attempt = await _counted(call)
    async with begin(services.pool) as tx:
        await checked.hold(tx)
        if not (await credentials.own(tx, call.actor)).two_factor_enabled:
            raise InvalidState("There is no second factor.")
        if await second_factor.take(tx, services.secrets, checked.user.id, data.otp) is None:
            raise _wrong()
        await attempt.succeeded(tx)
        await credentials.set_two_factor(tx, services, call.actor, is_on=False, request_id=call.request_id)


async def _counted(call: Call) -> Attempt:
    attempt = Attempt(call.services.secrets, ip=call.actor.ip, account=f"otp:{call.actor.user_id}")
    async with begin(call.services.pool) as tx:
        await attempt.count(tx)
    return attempt


def _wrong() -> InvalidCredentials:
    return InvalidCredentials("This code is wrong, or was used.", hint="Each code is good once; wait for the next.")
