"""Codes and links that are given to somebody, work once, and end. Only their hashes are kept."""

import re
import secrets
from datetime import timedelta
from typing import Literal

import msgspec

from cygnid.core import clock
from cygnid.core.db import Read, Tx
from cygnid.core.token_format import digest

Purpose = Literal["setup", "passwordReset", "emailChange"]
LASTS: dict[Purpose, timedelta] = {
    "setup": timedelta(hours=24),
    "passwordReset": timedelta(hours=1),
    "emailChange": timedelta(hours=24),
}
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""None looks like another or like a digit, and without vowels they make no words."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a secret was good for."""

    user_id: str
    email: str | None


def link() -> str:
    """To be copied: 256 bits."""
    return secrets.token_urlsafe(32)


def code(groups: int) -> str:
    """To be typed by hand: groups of four letters, 17 bits each."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(groups))


def typed(text: str) -> str:
    """A code as it was made, however somebody typed it; another text is no code."""
    letters = re.sub(r"[\s-]", "", text).upper()
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


async def give(tx: Tx, purpose: Purpose, secret: str, *, user_id: str, email: str | None = None) -> None:
    """`secret` is good for this from now on, in place of what the user was given for it before."""
    await revoke(tx, purpose, user_id)
    await tx.execute(
        "INSERT INTO one_time_secrets (hash, purpose, user_id, email, expires_at) VALUES ($1, $2, $3, $4, $5)",
        digest(secret),
        purpose,
        user_id,
        email,
        clock.now() + LASTS[purpose],
    )


async def good_for(read: Read, purpose: Purpose, secret: str) -> Given | None:
    """What `take` would say, without using it up."""
    return await read.one(
        Given,
        "SELECT user_id, email FROM one_time_secrets WHERE hash = $1 AND purpose = $2 AND expires_at > $3",
        digest(secret),
        purpose,
        clock.now(),
    )


async def revoke(tx: Tx, purpose: Purpose, user_id: str) -> None:
    """Whatever the user was given for this is good for nothing now."""
    await tx.execute("DELETE FROM one_time_secrets WHERE user_id = $1 AND purpose = $2", user_id, purpose)


async def take(tx: Tx, purpose: Purpose, secret: str) -> Given | None:
    """Use it up. None: it is unknown, used, replaced or too old."""
    return await tx.one(
        Given,
        """DELETE FROM one_time_secrets WHERE hash = $1 AND purpose = $2 AND expires_at > $3
           RETURNING user_id, email""",
        digest(secret),
        purpose,
        clock.now(),
    )


async def forget(tx: Tx) -> int:
    """Drop those that have ended; how many."""
    return await tx.execute("DELETE FROM one_time_secrets WHERE expires_at <= $1", clock.now())
