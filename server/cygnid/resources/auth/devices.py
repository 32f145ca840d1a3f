"""Signing in on a device that has no browser, by one that has (RFC 8628): the device shows a short code, somebody who
is signed in elsewhere types it, and the device's next question is answered with a session."""

import secrets as chance
from datetime import datetime, timedelta

import msgspec

from cygnid.core import clock
from cygnid.core.db import Read, Tx
from cygnid.core.errors import BadRequest, ValidationError
from cygnid.core.secrets import Secrets
from cygnid.core.token_format import digest
from cygnid.resources.auth import one_time

LASTS = timedelta(minutes=10)
INTERVAL_SECONDS = 5
_USER_CODE = "device.userCode"


class AuthorizationPending(BadRequest):
    """Nobody has decided yet."""

    code = "authorization_pending"
    hint = "Ask again after the interval."


class SlowDown(BadRequest):
    """You ask too often."""

    code = "slow_down"
    hint = "Wait five seconds longer between two questions from now on."


class AccessDenied(BadRequest):
    """Somebody said no."""

    code = "access_denied"


class ExpiredToken(BadRequest):
    """This code is unknown, used or too old."""

    code = "expired_token"
    hint = "Begin anew: POST /v1/auth/device."


class _Device(msgspec.Struct, frozen=True, kw_only=True):
    interval_seconds: int
    asked_at: datetime | None
    is_approved: bool | None
    user_id: str | None


async def begin(tx: Tx, secrets: Secrets) -> tuple[str, str]:
    """What the device keeps, and what it shows."""
    device_code, user_code = chance.token_urlsafe(32), one_time.code(2)
    await tx.execute(
        """INSERT INTO device_codes (hash, user_code_hash, expires_at, interval_seconds) VALUES ($1, $2, $3, $4)""",
        digest(device_code),
        secrets.digest(_USER_CODE, user_code.encode()),
        clock.now() + LASTS,
        INTERVAL_SECONDS,
    )
    return device_code, user_code


async def decide(tx: Tx, secrets: Secrets, user_code: str, user_id: str, *, approve: bool) -> None:
    """Let the device in as this user, or not; once. Raises ValidationError."""
    decided = await tx.execute(
        """UPDATE device_codes SET is_approved = $3, user_id = $4
           WHERE user_code_hash = $1 AND expires_at > $2 AND is_approved IS NULL""",
        secrets.digest(_USER_CODE, one_time.typed(user_code).encode()),
        clock.now(),
        approve,
        user_id,
    )
    if not decided:
        raise ValidationError.one("userCode", "Is unknown, used or too old")


async def ask(tx: Tx, device_code: str) -> str | BadRequest:
    """Whom the device is let in as, which uses the code up; or what it is told, which is kept: raise it after the
    commit."""
    now = clock.now()
    device = await _device(tx, device_code, now)
    if device is None:
        return ExpiredToken()
    if device.is_approved is None:
        return await _wait(tx, device_code, device, now)
    await tx.execute("DELETE FROM device_codes WHERE hash = $1", digest(device_code))
    if not device.is_approved:
        return AccessDenied()
    assert device.user_id is not None
    return device.user_id


async def forget(tx: Tx) -> int:
    """Drop those that have ended; how many."""
    return await tx.execute("DELETE FROM device_codes WHERE expires_at <= $1", clock.now())


async def _wait(tx: Tx, device_code: str, device: _Device, now: datetime) -> BadRequest:
    interval = device.interval_seconds
    # half a second is the network's
    is_early = device.asked_at is not None and now < device.asked_at + timedelta(seconds=interval - 0.5)
    await tx.execute(
        "UPDATE device_codes SET asked_at = $2, interval_seconds = $3 WHERE hash = $1",
        digest(device_code),
        now,
        interval + 5 * is_early,
    )
    return SlowDown() if is_early else AuthorizationPending()


async def _device(read: Read, device_code: str, now: datetime) -> _Device | None:
    """Locked: of two who ask at once, one gets the session."""
    return await read.one(
        _Device,
        """SELECT interval_seconds, asked_at, is_approved, user_id FROM device_codes
           WHERE hash = $1 AND expires_at > $2 FOR UPDATE""",
        digest(device_code),
        now,
    )
