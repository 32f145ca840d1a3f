"""A token is told from noise by its form alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cygnid.core.token_format import ALPHABET, Kind, assemble, kind_of, mint

KINDS: list[Kind] = ["personal", "team", "deploy", "session", "workload", "hook"]
bodies = st.text(ALPHABET, min_size=30, max_size=30)


@pytest.mark.parametrize(
    ("body", "secret"),
    [
        ("0" * 30, "cygp_0000000000000000000000000000002DAwn2"),
        ("7Zk3QmVx9LpT2bWcRyUe5HsNfDaGjK", "cygp_7Zk3QmVx9LpT2bWcRyUe5HsNfDaGjK25prFq"),
    ],
)
def test_the_published_examples(body: str, secret: str) -> None:
    assert assemble("personal", body) == secret
    assert kind_of(secret) == "personal"


@given(st.sampled_from(KINDS), bodies)
def test_what_is_assembled_is_well_formed(kind: Kind, body: str) -> None:
    secret = assemble(kind, body)
    assert kind_of(secret) == kind
    assert len(secret) == 41


@given(st.sampled_from(KINDS), bodies, st.integers(5, 40), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(kind: Kind, body: str, place: int, character: str) -> None:
    secret = assemble(kind, body)
    wrong = secret[:place] + character + secret[place + 1 :]
    assert (kind_of(wrong) is None) == (wrong != secret)


@given(st.text())
def test_noise_is_no_token(noise: str) -> None:
    assert kind_of(noise) is None


def test_minted_secrets_differ_and_a_line_end_is_no_part() -> None:
    first, second = mint("team"), mint("team")
    assert first != second
    assert kind_of(first) == "team"
    assert kind_of(first + "\n") is None
