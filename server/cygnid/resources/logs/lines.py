"""From bytes that a process printed to the text of a log line. Nothing here touches the database."""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cygnid.core.ids import encode
from cygnid.resources.logs.schemas import Level, Stream

LONGEST = 16 * 1024
"""Bytes of a message."""
MASK = "***"
EXCERPT = 64 * 1024
"""Bytes at the end of a file that are kept after they were stored."""
LATEST_MS = 24 * 60 * 60 * 1000
"""No line says that it happened longer than this before it was stored: the bound of a search by time."""
_SHORTEST_PREFIX = 4
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_COLORS = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")
_WORDS: dict[str, Level] = {
    **dict.fromkeys(("trace", "debug", "dbg", "verbose"), "debug"),
    **dict.fromkeys(("info", "inf", "notice"), "info"),
    **dict.fromkeys(("warn", "warning", "wrn"), "warn"),
    **dict.fromkeys(
        ("error", "err", "eror", "fatal", "critical", "crit", "panic", "alert", "emerg", "severe"), "error"
    ),
}
_NUMBERS: tuple[tuple[float, Level], ...] = ((20, "debug"), (30, "info"), (40, "warn"))
"""Levels of pino and bunyan: 10 trace, 20 debug, 30 info, 40 warn, 50 error."""
_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_PREFIX = re.compile(
    r"^(?:[\[(]?\d[\dTZ:.,+\-/ ]*[\])]?\s*)?"  # a time
    rf"(?:[\[(<]\s*({_WORD})\s*[\])>]|({_WORD})(?=\s*[:|\-\]]|\s{{2,}}|\s+\[)|(?-i:(DEBUG|INFO|WARN|WARNING|ERROR|FATAL)\s))",
    re.IGNORECASE,
)
_NAMED = re.compile(rf"(?:^|\s)(?:level|lvl|severity)=\"?({_WORD})\b", re.IGNORECASE)


class Mask:
    """Replaces secret values by `***`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # in one order, so that the same set is compiled once
        values = sorted({value for value in secrets if value}, key=lambda value: (-len(value), value))
        self._bytes = [value.encode() for value in values]
        self._found = re.compile("|".join(re.escape(value) for value in values)) if values else None

    def __call__(self, text: str) -> str:
        return self._found.sub(MASK, text) if self._found else text

    def held_back(self, raw: bytes) -> int:
        """How many bytes at the end of an unfinished line may be the beginning of a secret."""
        longest = max((len(value) for value in self._bytes), default=1)
        for length in range(min(len(raw), longest - 1), _SHORTEST_PREFIX - 1, -1):
            if any(value.startswith(raw[-length:]) for value in self._bytes):
                return length
        return 0


NO_MASK = Mask(())


def message(raw: bytes, mask: Mask) -> tuple[str, bool]:
    """A line as it is stored, and whether it was cut. Secrets are looked for before and after control bytes are
    removed, and before the cut, which would leave half a secret."""
    text = mask(raw.removesuffix(b"\r").decode(errors="replace"))
    clean = _CONTROLS.sub("", _COLORS.sub("", text))
    if clean != text:
        clean = mask(clean)
    stored = clean.encode()
    if len(stored) <= LONGEST:
        return clean, False
    return stored[:LONGEST].decode(errors="ignore"), True


def level(text: str, stream: Stream | None) -> Level:
    """What the line says of itself (JSON, `level=warn`, a common prefix); else error for stderr, info for others."""
    otherwise: Level = "error" if stream == "stderr" else "info"
    if text.startswith("{"):
        with suppress(ValueError, RecursionError):
            found: dict[str, Any] = json.loads(text)
            for name in ("level", "severity", "lvl", "levelname", "log.level"):
                if name in found:
                    return _named(found[name], otherwise)
        return otherwise
    if match := _PREFIX.match(text[:200]):
        return _WORDS[(match[1] or match[2] or match[3]).lower()]
    if match := _NAMED.search(text[:500]):
        return _WORDS[match[1].lower()]
    return otherwise


def _named(value: object, otherwise: Level) -> Level:
    if isinstance(value, bool):
        return otherwise
    if isinstance(value, int | float):
        for highest, name in _NUMBERS:
            if value <= highest:
                return name
        return "error"
    return _WORDS.get(str(value).lower(), otherwise)


def excerpt(paths: Sequence[Path], secrets: Iterable[str], count: int = 20) -> list[str]:
    """The last lines of these files together, masked and cleaned. A file that is not there has none: look before the
    stream is closed, since one that is read to its end is deleted."""
    mask = Mask(secrets)
    found: list[str] = []
    for path in paths:
        with suppress(FileNotFoundError), path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - EXCERPT)
            file.seek(start)
            raw = file.read(EXCERPT).split(b"\n")
            # what was stored is a hole of zeros, and a cut first line may be half a secret
            parts = [part.lstrip(b"\0") for part in (raw[1:] if start else raw)]
            found += [message(part, mask)[0] for part in parts if part.strip()]
    return found[-count:]


def line_id(ms: int, stream: int, seq: int) -> str:
    """A UUIDv7 (RFC 9562) whose random bits are the stream's number and the line's: ids sort by time, stream, line."""
    assert 0 <= ms < 2**48
    assert 0 <= stream < 2**30
    assert 0 <= seq < 2**44
    return "log_" + encode(ms << 80 | 7 << 76 | stream >> 18 << 64 | 2 << 62 | (stream & 0x3FFFF) << 44 | seq)


def first_id(ms: int) -> str:
    """Ids of lines stored from then on are not below this."""
    return line_id(min(max(ms, 0), 2**48 - 1), 0, 0)


def milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
