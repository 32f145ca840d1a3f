"""dotenv text: what files in practice hold, and that every value comes back byte for byte, in a shell too."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cygnid.resources.env import dotenv

KEYS = st.from_regex(r"[A-BX-Za-c_][A-C0-9_]{0,5}", fullmatch=True).filter(lambda key: not key.startswith("CYGNI_"))
VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60),
    st.text("'\"\\$`#= \t\r\nnabé🦢", max_size=30),
)
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC=\r\n+/ab\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(("text", "found"), [
    ("", {}),
    ("A=1", {"A": "1"}),
    ("A=1\nB=2\n", {"A": "1", "B": "2"}),
    ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ("A=1\rB=2\r", {"A": "1", "B": "2"}),
    ("\ufeffA=1", {"A": "1"}),
    ("# a comment\n\n   \n  # another\nA=1", {"A": "1"}),
    ("export A=1\n  export  B = 2", {"A": "1", "B": "2"}),
    ("export=1", {"export": "1"}),
    ("A=", {"A": ""}),
    ("A=''", {"A": ""}),
    ("A= 1  ", {"A": "1"}),
    ("A=1 # comment", {"A": "1"}),
    ("A=1# none", {"A": "1# none"}),
    ("A=#none", {"A": "#none"}),
    ("A= # comment", {"A": ""}),
    ("A='1' # comment\nB=2", {"A": "1", "B": "2"}),
    ("A=a b=c", {"A": "a b=c"}),
    ("A=postgres://u:p@h/d?x=1&y=$Z", {"A": "postgres://u:p@h/d?x=1&y=$Z"}),
    ("A=${B}\nB=$A", {"A": "${B}", "B": "$A"}),
    ("A='$B \\n \\'", {"A": "$B \\n \\"}),
    ('A="x\\ny\\tz\\r\\"\\\\\\$\\`\\d"', {"A": 'x\ny\tz\r"\\$`\\d'}),
    (f"A='{PEM}'\nB=\"{PEM}\"\nC=1", {"A": PEM, "B": PEM, "C": "1"}),
    ("A=1\nA=2", {"A": "2"}),
    ("A=🦢é", {"A": "🦢é"}),
    ("A=it's", {"A": "it's"}),
])  # fmt: skip
def test_what_files_hold(text: str, found: dict[str, str]) -> None:
    assert dotenv.read(text) == (found, [])


@pytest.mark.parametrize(("text", "lines", "reason"), [
    ("A", [1], "KEY=value"),
    ("A=1\n\n# x\r\n\r\nhidden-word\nB=2", [5], "KEY=value"),
    ("=1", [1], "KEY=value"),
    ("1A=1", [1], "letters"),
    ("A-B=1", [1], "letters"),
    ("É=1", [1], "letters"),
    ("A B=1", [1], "KEY=value"),
    ("A='\n\n'\nB='open", [4], "not closed"),
    ('A=1\nB="open\\"', [2], "not closed"),
    ("A='x'y", [1], "follows"),
    ("PORT=3000", [1], "platform"),
    ("CYGNI_X=1", [1], "platform"),
    (f"A='{'x' * 65537}'", [1], "65536"),
    (f"{'A' * 256}=1", [1], "255"),
    ("<<<<<<< HEAD\nA=1\n=======\nA=2\n>>>>>>> main", [1, 3, 5], "KEY=value"),
])  # fmt: skip
def test_a_line_that_is_none_is_named_and_not_shown(text: str, lines: list[int], reason: str) -> None:
    _, errors = dotenv.read(text)
    assert [error.line for error in errors] == lines
    assert reason in errors[0].reason
    assert "hidden" not in errors[0].reason


@given(st.dictionaries(KEYS, VALUES))
def test_what_is_written_is_read(found: dict[str, str]) -> None:
    assert dotenv.read(dotenv.write(found)) == (found, [])


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read_to_its_end(text: str) -> None:
    found, errors = dotenv.read(text)
    assert all(1 <= error.line <= text.count("\n") + text.count("\r") + 1 for error in errors)
    assert dotenv.read(dotenv.write(found)) == (found, [])


@pytest.mark.parametrize("value", ["", PEM, 'it\'s "$HOME" `id` \\ \\n', "🦢", " a ", "a\tb", "!x", "'", "\\'", "#"])
def test_a_shell_reads_the_same(value: str) -> None:
    text = dotenv.write({"V": value}) + 'printf %s "$V"'
    said = subprocess.run(["sh", "-c", text], capture_output=True, check=True, env={}).stdout
    assert said == value.encode()


@pytest.mark.parametrize("text", [
    "A=" + " " * 1_000_000 + "x",
    "A='x\n" * 200_000,
    'A="\\' * 200_000,
    "A='" + "\\'" * 500_000,
    "export " * 150_000,
    "#" * 1_000_000,
    "\n" * 1_000_000,
    "A=1\n" * 250_000,
])  # fmt: skip
def test_no_text_takes_for_ever(text: str) -> None:
    """A pattern that looks again from every character would need hours for these."""
    dotenv.read(text)
