import re

import pytest

from cygni_cli.errors import CliError
from cygni_cli.talk import Talk, is_terminal


def speak(talk):
    talk.passing("half")
    talk.step("✓", "Upload", "1.0 MB", "0.5 s")
    talk.log("compiling")
    talk.error(CliError("What.", why="Why.", fix="Fix.", code="c", request_id="req_1"))


def test_a_log_gets_plain_lines_with_times(capsys):
    speak(Talk(live=False, environ={}))
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    first, second, *rest = err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\dZ ✓ Upload      0.5 s  1.0 MB", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\dZ   \| compiling", second)
    assert rest == ["Error    What.", "Why      Why.", "Do       Fix.", "Request  req_1"]


def test_a_terminal_gets_live_lines(capsys, monkeypatch):
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    speak(Talk(live=True, environ={}))
    err = capsys.readouterr().err
    assert err.startswith("\r\x1b[Khalf\r\x1b[K\x1b[32m✓")
    assert "│ compiling" in err
    assert "\x1b[31m\x1b[1mError" in err


def test_no_color_is_obeyed(capsys, monkeypatch):
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    talk = Talk(live=True, environ={"NO_COLOR": "1"})
    talk.step("✗", "Live", "", "0.5 s")
    talk.dim("quiet")
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("environ", [{"CI": "true"}, {"TERM": "dumb"}, {}])
def test_nobody_sits_at_a_log(environ):
    # pytest's stdin is no terminal either
    assert not is_terminal(environ)
