"""Which passwords are taken, and that they are kept as they must be."""

import pytest

from cygnid.resources.auth import passwords

KNOWS = ("ada.lovelace@example.com", "Ada Lovelace")


@pytest.mark.parametrize("password", [
    "short", "aaaaaaaaaaaaaaaa", "abcabcabcabcabc", "password1234", "Password12345!", "P@ssw0rd2024!!", "qwertyuiop12",
    "123456789012", "1234567890123456", "abcdefghijkl", "adalovelace1", "Lovelace2024!", "cygnicygni12", "iloveyou1234",
    "correcthorsebatterystaple", "            ", "welcome-welcome",
])  # fmt: skip
def test_what_would_be_guessed_first_is_not_taken(password: str) -> None:
    assert passwords.check(password, knows=KNOWS) is not None


@pytest.mark.parametrize("password", [
    "three unlikely words", "kV3#pqLm9!xw", "приветкакдела", "ein sehr langes Wort", "lovelace brews odd tea",
    "x" * 64 + "yzab",
])  # fmt: skip
def test_what_nobody_would_guess_is_taken_whatever_its_characters(password: str) -> None:
    assert passwords.check(password, knows=KNOWS) is None


async def test_a_hash_fits_its_password_alone_and_says_what_it_cost() -> None:
    kept = await passwords.hashed("pässword of ada")
    assert kept.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert await passwords.hashed("pässword of ada") != kept
    assert await passwords.matches("pa\u0308ssword of ada", kept)
    assert not await passwords.matches("passwort of ada", kept)
    assert not await passwords.matches("", None)
    assert not passwords.is_outdated(kept)
    # nobody's costs what anybody's does
    assert passwords._NOBODYS.split("$")[:4] == kept.split("$")[:4]
    assert [len(part) for part in passwords._NOBODYS.split("$")] == [len(part) for part in kept.split("$")]


async def test_a_cheaper_hash_of_before_is_outdated() -> None:
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("three unlikely words")
    assert await passwords.matches("three unlikely words", old)
    assert passwords.is_outdated(old)
