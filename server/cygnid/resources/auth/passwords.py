"""Passwords: which are taken, and how they are kept (NIST SP 800-63B-4 section 3.1.1.2, RFC 9106).

Length is what counts, and that nobody would guess it; no rule about kinds of characters, and no expiry.
"""

import asyncio
import os
import re
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

from cygnid.resources.auth.schemas import MAX_PASSWORD

Result = TypeVar("Result")
MIN_PASSWORD = 12
_MEMORY_KIB, _PASSES, _LANES = 47_104, 1, 1
_HASHER = PasswordHasher(
    time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES, hash_len=32, salt_len=16, type=Type.ID
)
_NOBODYS = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}${'A' * 22}${'A' * 43}"
"""Of no password, at the same cost as anybody's."""
_THREADS = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1), thread_name_prefix="argon2")
"""Few: each hash takes its memory, and whoever waits here keeps nobody else waiting."""
_COMMON = (
    "password passwort passw0rd p@ssword p@ssw0rd motdepasse contrasena senha welcome letmein iloveyou changeme "
    "trustno administrator admin root login qwerty qwertz azerty qwertyuiop qwertzuiop azertyuiop asdfghjkl "
    "yxcvbnm zxcvbnm qazwsx qazwsxedc qwerasdfzxcv 1q2w3e4r5t 1qaz2wsx3edc 1qaz2wsx abcdefghijklmnopqrstuvwxyz "
    "football baseball superman batman starwars pokemon sunshine princess dragon monkey shadow master secret default "
    "temporary company internet computer correcthorsebatterystaple thequickbrownfox cygni"
)
_ROWS = ("0123456789", "9876543210", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz")


def check(password: str, *, knows: tuple[str, ...]) -> str | None:
    """Why a new password is not taken; None: it is. `knows`: names and addresses that a guess would begin with."""
    text = _normal(password)
    if len(text) < MIN_PASSWORD:
        return f"Must have at least {MIN_PASSWORD} characters; several words are easy to remember"
    if len(password) > MAX_PASSWORD:
        return f"Must have at most {MAX_PASSWORD} characters"
    rest = text.lower()
    if len(set(rest)) < 5:
        return "Is among the first that somebody would guess: it repeats itself"
    for word in sorted((*_COMMON.split(), *_parts(knows)), key=len, reverse=True):
        rest = rest.replace(word, "")
    for row in _ROWS:
        rest = re.sub("|".join(row[i : i + 4] for i in range(len(row) - 3)), "", rest)
    # what is left of it is all that a guess needs
    if len(re.sub(r"[\W\d_]", "", rest)) < 4 and len(set(rest)) < 8:
        return "Is among the first that somebody would guess: choose words that nobody would expect together"
    return None


async def hashed(password: str) -> str:
    """For `passwords.hash`; takes a while, in a thread."""
    return await _aside(partial(_HASHER.hash, _normal(password)))


async def matches(password: str, kept: str | None) -> bool:
    """`kept` None: there is nobody, which takes as long as a wrong password of somebody."""
    return await _aside(partial(_matches, _normal(password), kept or _NOBODYS)) and kept is not None


def is_outdated(kept: str) -> bool:
    """Hashed at another cost than today's: hash it anew when the password is known."""
    return _HASHER.check_needs_rehash(kept)


def _matches(password: str, kept: str) -> bool:
    try:
        return _HASHER.verify(kept, password)
    except VerifyMismatchError:
        return False


async def _aside(function: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, function)


def _normal(password: str) -> str:
    """The same for the same characters, whichever keyboard they come from."""
    return unicodedata.normalize("NFKC", password)


def _parts(knows: tuple[str, ...]) -> set[str]:
    """Words of at least four letters."""
    return {word for text in knows for word in re.split(r"[\W_]+", text.lower()) if len(word) >= 4}
