"""dotenv text, read and written so that every value comes back byte for byte, and so that a shell reads the same.

Reading takes what such files hold in practice: `export`, comments, CRLF, a byte order mark, values bare, in single
quotes (nothing is special inside) or in double quotes (a backslash escapes as in shells, and makes n, r, t), both over
several lines. Nothing is expanded. It takes time in proportion to the text, whatever the text: it comes from tenants.
"""

import re

from cygnid.resources.env import values
from cygnid.resources.env.schemas import EnvLineError

MAX_ERRORS = 100
_BLANK = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r\n|\n|\r|\Z)")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([^=\s#'\"]+)[ \t]*=([ \t]*)")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_BARE = re.compile(r"[^\r\n]*")
_COMMENT = re.compile(r"[ \t]#")
_ESCAPE = re.compile(r'\\([nrt"\\$`])')
_BREAK = re.compile(r"\r\n|\n|\r")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_SPECIAL = re.compile(r'(["\\$`])')


class _Problem(Exception):
    """A line is no assignment."""


def write(variables: dict[str, str]) -> str:
    """A line `KEY='value'` each, or in double quotes where the value has a single one."""
    return "".join(f"{key}={_quoted(value)}\n" for key, value in variables.items())


def read(text: str) -> tuple[dict[str, str], list[EnvLineError]]:
    """The variables, the last of a key winning, and the lines that are none. What a line says is not repeated in its
    error: it may be a secret."""
    text = text.removeprefix("\ufeff")
    found: dict[str, str] = {}
    errors: list[EnvLineError] = []
    position, line = 0, 1
    while position < len(text) and len(errors) < MAX_ERRORS:
        start = position
        if blank := _BLANK.match(text, position):
            position = blank.end()
        else:
            try:
                key, value, position = _assignment(text, position)
                found[key] = value
            except _Problem as problem:
                errors.append(EnvLineError(line=line, reason=str(problem)))
                position = _end_of(_LINE, text, position)
        line += len(_BREAK.findall(text, start, position))
    return found, errors


def _assignment(text: str, position: int) -> tuple[str, str, int]:
    name = _NAME.match(text, position)
    if name is None:
        raise _Problem("Must be KEY=value")
    value, end = _value(text, name.end(), is_spaced=bool(name[2]))
    problem = values.key_problem(name[1]) or values.value_problem(value)
    if problem is not None:
        raise _Problem(problem[1])
    return name[1], value, end


def _value(text: str, position: int, *, is_spaced: bool) -> tuple[str, int]:
    quote = text[position : position + 1]
    if quote not in ("'", '"'):
        bare = _BARE.match(text, position)
        assert bare is not None, "it matches the empty text"
        value = bare[0]
        comment = 0 if is_spaced and value.startswith("#") else None
        if comment is None and (mark := _COMMENT.search(value)):
            comment = mark.start()
        return value[:comment].rstrip(" \t"), _end_of(_LINE, text, bare.end())
    quoted = (_SINGLE if quote == "'" else _DOUBLE).match(text, position)
    if quoted is None:
        raise _Problem("The quote is not closed")
    after = _BLANK.match(text, quoted.end())
    if after is None:
        raise _Problem("Something follows the closing quote")
    value = quoted[1] if quote == "'" else _ESCAPE.sub(_unescaped, quoted[1])
    return value, after.end()


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[1])


def _quoted(value: str) -> str:
    if "'" not in value:
        return f"'{value}'"
    return '"' + _SPECIAL.sub(r"\\\1", value) + '"'


def _end_of(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    assert found is not None, "it matches the empty text"
    return found.end()
