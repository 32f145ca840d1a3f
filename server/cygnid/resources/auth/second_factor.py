"""One-time passwords by the clock (TOTP, RFC 6238), and codes on paper for when the device is gone.

A code is taken once, also within its half minute, and one step of a clock that goes wrong is forgiven.
"""

from hmac import compare_digest
from typing import Literal

import msgspec
import pyotp
from pyotp.totp import TOTP

from cygnid.core import clock
from cygnid.core.db import Read, Tx
from cygnid.core.secrets import Secrets
from cygnid.resources.auth import one_time

RECOVERY_CODES = 10
_SECONDS, _LATE_STEPS = 30, 1
_SECRET, _RECOVERY = "secondFactor.secret", "secondFactor.recovery"
_ISSUER = "Cygni"
How = Literal["totp", "recoveryCode"]


class _Factor(msgspec.Struct, frozen=True):
    secret: bytes
    last_step: int


async def enroll(tx: Tx, secrets: Secrets, user_id: str) -> str:
    """A new secret, which is not asked for before it is confirmed; the one before, if it was not, is forgotten."""
    secret = pyotp.random_base32()
    await tx.execute(
        """INSERT INTO second_factors (user_id, secret) VALUES ($1, $2)
           ON CONFLICT (user_id) DO UPDATE SET secret = $2, confirmed_at = NULL, last_step = 0""",
        user_id,
        secrets.seal(_SECRET, secret.encode()),
    )
    return secret


def url(secret: str, account: str) -> str:
    """What an authenticator reads from a picture."""
    return TOTP(secret).provisioning_uri(name=account, issuer_name=_ISSUER)


async def confirm(tx: Tx, secrets: Secrets, user_id: str, otp: str) -> list[str] | None:
    """From now on it is asked for. Returns the recovery codes; None: the code is not the device's."""
    if not await _take_totp(tx, secrets, user_id, otp):
        return None
    await tx.execute("UPDATE second_factors SET confirmed_at = $2 WHERE user_id = $1", user_id, clock.now())
    await tx.execute("DELETE FROM recovery_codes WHERE user_id = $1", user_id)
    codes = [one_time.code(3) for _ in range(RECOVERY_CODES)]
    await tx.copy(
        "recovery_codes", ["user_id", "hash"], [(user_id, secrets.digest(_RECOVERY, code.encode())) for code in codes]
    )
    return codes


async def take(tx: Tx, secrets: Secrets, user_id: str, otp: str) -> How | None:
    """Use up a code of the device, or one of the recovery codes. None: it is neither, or was used."""
    if await _take_totp(tx, secrets, user_id, otp):
        return "totp"
    used = await tx.execute(
        "DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2",
        user_id,
        secrets.digest(_RECOVERY, one_time.typed(otp).encode()),
    )
    return "recoveryCode" if used else None


async def remove(tx: Tx, user_id: str) -> None:
    await tx.execute("DELETE FROM second_factors WHERE user_id = $1", user_id)
    await tx.execute("DELETE FROM recovery_codes WHERE user_id = $1", user_id)


async def _take_totp(tx: Tx, secrets: Secrets, user_id: str, otp: str) -> bool:
    factor = await _factor(tx, user_id)
    typed = otp.replace(" ", "")
    if factor is None or not typed.isascii():
        return False
    totp = TOTP(secrets.open(_SECRET, factor.secret).decode())
    now = int(clock.now().timestamp()) // _SECONDS
    for step in range(now - _LATE_STEPS, now + _LATE_STEPS + 1):
        if step > factor.last_step and compare_digest(totp.generate_otp(step), typed):
            await tx.execute("UPDATE second_factors SET last_step = $2 WHERE user_id = $1", user_id, step)
            return True
    return False


async def _factor(read: Read, user_id: str) -> _Factor | None:
    """Locked: of two who use the same code at once, one is too late."""
    return await read.one(
        _Factor, "SELECT secret, last_step FROM second_factors WHERE user_id = $1 FOR UPDATE", user_id
    )
