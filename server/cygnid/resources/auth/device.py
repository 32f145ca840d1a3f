"""Routes of signing in on a device."""

from cygnid.core import clock, db
from cygnid.core.db import Tx
from cygnid.core.errors import BadRequest, RateLimited
from cygnid.core.http import Answer, Call, operation
from cygnid.resources.auth import actions, devices
from cygnid.resources.auth.devices import AccessDenied, AuthorizationPending, ExpiredToken, SlowDown
from cygnid.resources.auth.schemas import DeviceApproveInput, DeviceAuthorization, DeviceTokenInput
from cygnid.resources.auth.throttle import Attempt
from cygnid.resources.tokens.queries import shown_with_secret
from cygnid.resources.tokens.schemas import TokenWithSecret
from cygnid.settings import Settings


@operation("POST", "/v1/auth/device", id="auth.device", needs="public", answers=DeviceAuthorization, replayable=False)
async def begin(tx: Tx, call: Call) -> Answer:
    """Begin to sign in on a device without a browser: show `userCode` and `verificationUri`, then ask for the token."""
    device_code, user_code = await devices.begin(tx, call.services.secrets)
    data = DeviceAuthorization(
        device_code=device_code,
        user_code=user_code,
        verification_uri=_page(call.services.settings),
        interval=devices.INTERVAL_SECONDS,
        expires_in=int(devices.LASTS.total_seconds()),
    )
    return Answer(data=data, has_secret=True)


@operation(
    "POST",
    "/v1/auth/device/token",
    id="auth.deviceToken",
    needs="public",
    answers=TokenWithSecret,
    errors=[AuthorizationPending, SlowDown, AccessDenied, ExpiredToken],
    replayable=False,
    example={"deviceCode": "Qm3x0TzJv8c5L1kWn7Yb2R6sUe9Hd4Ga0Pf3iKo5VtE"},
)
async def ask(call: Call, data: DeviceTokenInput) -> Answer:
    """Ask whether somebody let the device in: the answer is a session of twelve hours, once."""
    async with db.begin(call.services.pool) as tx:
        found = await devices.ask(tx, data.device_code)
        if not isinstance(found, BadRequest):
            user = await actions.again(tx, found)
            row, secret = await actions.sign_in(
                tx, user, client=call.client, ip=call.actor.ip, request_id=call.request_id, how="device"
            )
            return Answer(data=shown_with_secret(row, secret, clock.now()), has_secret=True)
    raise found


@operation(
    "POST",
    "/v1/auth/device/approve",
    id="auth.approveDevice",
    needs="session",
    status=204,
    errors=[RateLimited],
    replayable=False,
    example={"userCode": "BCDF-GHJK", "approve": True},
)
async def approve(call: Call, data: DeviceApproveInput) -> None:
    """Let a device in as you, or not, by the code that it shows."""
    services, user_id = call.services, call.actor.user_id or ""
    attempt = Attempt(services.secrets, ip=call.actor.ip, account=f"device:{user_id}")
    async with db.begin(services.pool) as tx:
        await attempt.count(tx)
    async with db.begin(services.pool) as tx:
        await devices.decide(tx, services.secrets, data.user_code, user_id, approve=data.approve)
        await attempt.succeeded(tx)


def _page(settings: Settings) -> str:
    """Where somebody who is signed in types the code; without a dashboard, the page that says how."""
    if settings.dashboard_url:
        return f"{settings.dashboard_url.rstrip('/')}/device"
    return f"{settings.api_url.removesuffix('/v1')}/docs/people#a-new-device"
