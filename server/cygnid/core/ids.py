"""Ids: a prefix and 26 characters of a UUIDv7 in Crockford's base32 (the TypeID spec), so they sort by time."""

import uuid_utils

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """`prefix_` + 26 characters; later ids sort after earlier ones."""
    return f"{prefix}_{encode(uuid_utils.uuid7().int)}"


def encode(number: int) -> str:
    return "".join(ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def suffix(identifier: str) -> str:
    """The 26 characters: `aud_X` and `evt_X` of one change share them."""
    return identifier.rpartition("_")[2]
