"""How often somebody may try to sign in: for each account, whether it exists or not, and for each address.

Counted in the database, since a restart must not give an attacker a new start. An attempt is counted before it is
judged, so that many at once are no way around; what succeeds is taken back.
"""

from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from math import ceil

import msgspec

from cygnid.core import clock
from cygnid.core.db import Tx
from cygnid.core.errors import RateLimited
from cygnid.core.secrets import Secrets

WINDOW = timedelta(minutes=15)
PER_ACCOUNT, PER_ADDRESS = 10, 50


class _Count(msgspec.Struct, frozen=True):
    attempts: int
    window_ends_at: datetime


class Attempt:
    """One attempt of one caller. `account`: whatever names it, as it was typed."""

    def __init__(self, secrets: Secrets, *, ip: str | None, account: str | None = None) -> None:
        self._address = secrets.digest("signIn.address", _network(ip).encode())
        self._account = None if account is None else secrets.digest("signIn.account", account.encode())

    async def count(self, tx: Tx) -> None:
        """Raises RateLimited, and then nothing is counted: its transaction is not committed."""
        limits = [(self._address, PER_ADDRESS)]
        if self._account is not None:
            limits.append((self._account, PER_ACCOUNT))
        # in one order, so that two at once do not wait for each other
        for key, limit in sorted(limits):
            await _count(tx, key, limit)

    async def succeeded(self, tx: Tx) -> None:
        """The account is free of what was counted; the address of this one attempt."""
        if self._account is not None:
            await tx.execute("DELETE FROM sign_in_attempts WHERE key = $1", self._account)
        await tx.execute(
            "UPDATE sign_in_attempts SET attempts = attempts - 1 WHERE key = $1 AND attempts > 0", self._address
        )


async def _count(tx: Tx, key: bytes, limit: int) -> None:
    now = clock.now()
    count = await tx.one(
        _Count,
        """INSERT INTO sign_in_attempts (key, attempts, window_ends_at) VALUES ($1, 1, $2)
           ON CONFLICT (key) DO UPDATE SET
               attempts = CASE WHEN sign_in_attempts.window_ends_at <= $3 THEN 1
                   ELSE sign_in_attempts.attempts + 1 END,
               window_ends_at = CASE WHEN sign_in_attempts.window_ends_at <= $3 THEN $2
                   ELSE sign_in_attempts.window_ends_at END
           RETURNING attempts, window_ends_at""",
        key,
        now + WINDOW,
        now,
    )
    assert count is not None
    if count.attempts > limit:
        wait = max(1, ceil((count.window_ends_at - now).total_seconds()))
        raise RateLimited(
            "Too many attempts to sign in.",
            hint="Wait for the seconds in Retry-After. Sessions and tokens that exist go on working.",
            details={"window": "signIn", "limit": limit, "retryAfterSeconds": wait},
            headers={"Retry-After": str(wait)},
        )


async def forget(tx: Tx) -> int:
    """Drop the counts of windows that are over; how many."""
    return await tx.execute("DELETE FROM sign_in_attempts WHERE window_ends_at <= $1", clock.now())


def _network(ip: str | None) -> str:
    """An IPv6 network of 64 bits is one subscriber's, who has all its addresses."""
    if ip is None:
        return ""
    address = ip_address(ip)
    address = getattr(address, "ipv4_mapped", None) or address
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False))
