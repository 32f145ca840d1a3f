"""What a token looks like: `cyg<kind>_`, 30 random characters of base62, and their CRC-32 in 6 characters.

The checksum lets scanners and the door tell a token from noise without asking the database.
"""

import re
import secrets
import string
import zlib
from hashlib import sha256
from typing import Literal

Kind = Literal["personal", "team", "deploy", "session", "workload", "hook"]

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_LETTERS: dict[Kind, str] = {
    "personal": "p",
    "team": "t",
    "deploy": "d",
    "session": "s",
    "workload": "w",
    "hook": "h",
}
_KINDS: dict[str, Kind] = {letter: kind for kind, letter in _LETTERS.items()}
_PATTERN = re.compile(r"cyg([ptdswh])_[0-9A-Za-z]{36}")
_CHECKSUM = 6


def mint(kind: Kind) -> str:
    """A new secret with 178 bits of chance: enough for a fast hash at rest."""
    return assemble(kind, "".join(secrets.choice(ALPHABET) for _ in range(30)))


def assemble(kind: Kind, body: str) -> str:
    """The secret with these 30 characters."""
    head = f"cyg{_LETTERS[kind]}_{body}"
    return head + _checksum(head)


def kind_of(secret: str) -> Kind | None:
    """The kind of a well-formed secret; None when its form or its checksum is wrong."""
    match = _PATTERN.fullmatch(secret)
    if match is None or _checksum(secret[:-_CHECKSUM]) != secret[-_CHECKSUM:]:
        return None
    return _KINDS[match[1]]


def digest(secret: str) -> bytes:
    """All that is stored of a secret."""
    return sha256(secret.encode()).digest()


def _checksum(head: str) -> str:
    number = zlib.crc32(head.encode())
    characters = ""
    for _ in range(_CHECKSUM):
        number, rest = divmod(number, len(ALPHABET))
        characters = ALPHABET[rest] + characters
    return characters
