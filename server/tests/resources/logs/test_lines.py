"""From bytes to the text of a line."""

import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cygnid.core.ids import ALPHABET
from cygnid.resources.logs.lines import LONGEST, NO_MASK, Mask, excerpt, level, line_id, message, milliseconds


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"tab\tstays", "tab\tstays"),
        (b"bell\x07 null\0 del\x7f", "bell null del"),
        (b"\x1b[1;31mred\x1b[0m and \x1b[2Kcleared", "red and cleared"),
        (b"windows\r", "windows"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("grün \u0085 \u009b31m".encode(), "grün  31m"),
        (b"", ""),
    ],
)
def test_a_message_is_text_without_control_bytes(raw: bytes, text: str) -> None:
    assert message(raw, NO_MASK) == (text, False)


@given(st.binary(max_size=3 * LONGEST))
def test_no_bytes_break_it(raw: bytes) -> None:
    text, truncated = message(raw, NO_MASK)
    assert len(text.encode()) <= LONGEST
    assert "\0" not in text
    assert not truncated or len(text.encode()) > LONGEST - 4


def test_a_character_is_not_cut_in_two() -> None:
    text, truncated = message(b"x" + "€".encode() * LONGEST, NO_MASK)
    assert truncated
    assert text.endswith("€")


def test_a_secret_across_the_cut_is_masked() -> None:
    text, _ = message(b"x" * (LONGEST - 4) + b"correct-horse" + b"y" * 100, Mask(["correct-horse"]))
    assert "corr" not in text


def test_the_longest_secret_wins() -> None:
    assert message(b"a-secret-value!", Mask(["a-secret", "a-secret-value"]))[0] == "***!"


def test_a_secret_with_colours_in_it_is_masked() -> None:
    assert message(b"correct\x1b[31m-horse", Mask(["correct-horse"]))[0] == "***"


@pytest.mark.parametrize("secret", ["a.b*c(d[e", "\\d+\\d+", "^$|^$|^$"])
def test_a_secret_is_no_pattern(secret: str) -> None:
    assert message(f"<{secret}> abbbc".encode(), Mask([secret]))[0] == "<***> abbbc"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nothing said", "info"),
        ('{"level":"warn","msg":"x"}', "warn"),
        ('{"severity":"ERROR"}', "error"),
        ('{"level":30}', "info"),
        ('{"level":50}', "error"),
        ('{"level":20}', "debug"),
        ('{"level":true}', "info"),
        ('{"level":null}', "info"),
        ('{"level":"strange"}', "info"),
        ('{"broken', "info"),
        ("{" * 100_000, "info"),
        ("ERROR something", "error"),
        ("[warn] disk", "warn"),
        ("WARNING: disk", "warn"),
        ("2026-11-24 08:00:01,123 ERROR app: boom", "error"),
        ("2026-11-24T08:00:01Z INFO ready", "info"),
        ("[2026-11-24 08:00:01 +0000] [12] [INFO] Booting", "info"),
        ("INFO:     Uvicorn running", "info"),
        ("error: no such file", "error"),
        ("Errors were found: none", "info"),
        ("information about things", "info"),
        ("time=2026-11-24T08:00:01Z level=debug msg=x", "debug"),
        ('level="error" msg=x', "error"),
        ("DEBUG - x", "debug"),
        ("fatal: not a repository", "error"),
    ],
)
def test_the_level_is_what_the_line_says(text: str, found: str) -> None:
    assert level(text, "stdout") == found


@pytest.mark.parametrize("text", ["nothing said", '{"msg":"x"}', '{"broken'])
def test_a_line_that_says_nothing_has_its_streams_level(text: str) -> None:
    assert level(text, "stderr") == "error"
    assert level(text, None) == "info"
    assert level("INFO ok", "stderr") == "info"


def test_ids_sort_by_time_then_stream_then_line() -> None:
    keys = [(ms, stream, seq) for ms in (1, 2, 2**47) for stream in (0, 2**17, 2**29) for seq in (0, 1, 2**43)]
    ids = [line_id(*key) for key in keys]
    assert ids == sorted(set(ids))
    assert all(len(made) == len("log_") + 26 for made in ids)


def test_an_id_tells_its_time() -> None:
    moment = datetime(2026, 11, 24, 8, 0, 23, 290_999, UTC)
    number = 0
    for letter in line_id(milliseconds(moment), 7, 1).removeprefix("log_"):
        number = number << 5 | ALPHABET.index(letter)
    made = UUID(int=number)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert number >> 80 == int(datetime(2026, 11, 24, 8, 0, 23, tzinfo=UTC).timestamp()) * 1000 + 290


def test_an_excerpt_is_the_last_lines_masked(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_bytes(b"\0" * 8192 + b"".join(b"line %d\n" % number for number in range(30)))
    err.write_bytes(b"\n\nlast correct-horse")
    found = excerpt([out, err, tmp_path / "nothing"], ["correct-horse"], 5)
    assert found == ["line 26", "line 27", "line 28", "line 29", "last ***"]


def test_an_excerpt_shows_no_half_line(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"correct-horse" * 20_000 + b"\nend\n")
    assert excerpt([file], ["correct-horse"]) == ["end"]


def test_a_long_line_takes_no_time() -> None:
    started = time.process_time()
    for text in ("1" * 300_000, " " * 300_000, "[" * 300_000, "level=" * 50_000):
        level(text, None)
    assert time.process_time() - started < 5
