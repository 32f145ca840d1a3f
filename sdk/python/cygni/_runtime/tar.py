"""Tar archives whose bytes are the same whoever writes them; sdk/README.md says what they are, byte for byte.

The standard library's writer fills fields differently from one Python to the next, and no two languages agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .behavior import ARCHIVE_MODIFIED_AT

BLOCK = 512
_LARGEST = 8**11 - 1


@dataclass(frozen=True)
class Entry:
    """One member. `link` is where a symbolic link leads; empty for a file."""

    name: bytes
    mode: int
    size: int = 0
    link: bytes = b""


def header(entry: Entry) -> bytes:
    """The member's header; before it a pax header, where its name, link or size do not fit or are not ASCII."""
    records = b""
    if _needs_record(entry.name):
        records += _record(b"path", entry.name)
    if _needs_record(entry.link):
        records += _record(b"linkpath", entry.link)
    if entry.size > _LARGEST:
        records += _record(b"size", str(entry.size).encode())
    kind = b"2" if entry.link else b"0"
    size = 0 if entry.size > _LARGEST else entry.size
    own = _block(_fitting(entry.name), entry.mode, size, kind, _fitting(entry.link))
    if not records:
        return own
    return _block(b"././@PaxHeader", 0o644, len(records), b"x", b"") + records + padding(len(records)) + own


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def end() -> bytes:
    return bytes(2 * BLOCK)


def content(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes, and the padding. Raises OSError if the file has become shorter."""
    left = size
    while left:
        part = file.read(min(left, 2**20))
        if not part:
            raise OSError("it became shorter while it was read")
        left -= len(part)
        yield part
    yield padding(size)


def _block(name: bytes, mode: int, size: int, kind: bytes, link: bytes) -> bytes:
    fields = (
        name.ljust(100, b"\0"),
        _octal(mode, 8),
        _octal(0, 8),  # owner and group: nobody's in particular
        _octal(0, 8),
        _octal(size, 12),
        _octal(ARCHIVE_MODIFIED_AT, 12),
        b" " * 8,
        kind,
        link.ljust(100, b"\0"),
        b"ustar\x0000",
        bytes(64),
        _octal(0, 8),
        _octal(0, 8),
        bytes(155 + 12),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _octal(number: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, number)


def _needs_record(text: bytes) -> bool:
    return len(text) > 100 or not text.isascii()


def _fitting(text: bytes) -> bytes:
    """For readers that know no pax: what is not ASCII as `?`, byte by byte, and the first 100 bytes."""
    return bytes(byte if byte < 128 else 0x3F for byte in text[:100])


def _record(key: bytes, value: bytes) -> bytes:
    """`length key=value` and a line feed, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)
