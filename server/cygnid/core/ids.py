"""Ids: a prefix and 26 characters of a UUIDv7 in Crockford's base32 (the TypeID spec), so they sort by time."""

import re
from datetime import UTC, datetime

import uuid_utils

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
PATTERN = re.compile(r"^[a-z]+_[0-7][0-9a-hjkmnp-tv-z]{25}$")


def new_id(prefix: str) -> str:
    """`prefix_` + 26 characters; later ids sort after earlier ones."""
    return f"{prefix}_{encode(uuid_utils.uuid7().int)}"


def encode(number: int) -> str:
    return "".join(ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def suffix(identifier: str) -> str:
    """The 26 characters: `aud_X` and `evt_X` of one change share them."""
    return identifier.rpartition("_")[2]


def valid(prefix: str, text: str) -> bool:
    """Whether `text` is an id of this kind; anything else is as unknown as an id that does not exist."""
    return text.startswith(f"{prefix}_") and PATTERN.match(text) is not None


def time_of(identifier: str) -> datetime:
    """When the id was made, to the millisecond."""
    number = 0
    for character in suffix(identifier):
        number = number << 5 | ALPHABET.index(character)
    return datetime.fromtimestamp((number >> 80) / 1000, UTC)
