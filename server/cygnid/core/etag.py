"""ETags (RFC 9110, 8.8.3): `"<hash of what was sent>.<version>"`.

A conditional GET compares the whole. If-Match compares the version alone, so what moves by itself (a status, a
count) never makes a change fail; the version rises with every change of a settable field.
"""

import re
from base64 import urlsafe_b64encode
from hashlib import sha256

from cygnid.core.errors import PreconditionFailed
from cygnid.core.schemas import ENCODER, Out

_LISTED = re.compile(r'(?:W/)?("[^"]*")')
_VERSIONED = re.compile(r'"[A-Za-z0-9_-]{22}\.([0-9]{1,18})"')


def etag(data: bytes, version: int | None) -> str:
    """The strong tag of an answer; the hash alone for what has no version, as a list."""
    digest = urlsafe_b64encode(sha256(data).digest()[:16]).rstrip(b"=").decode()
    return f'"{digest}"' if version is None else f'"{digest}.{version}"'


def not_modified(if_none_match: str, tag: str) -> bool:
    """Whether the client has `tag` already: any of its list, or `*`. Weak comparison (RFC 9110, 13.1.2)."""
    return if_none_match.strip() == "*" or tag in _LISTED.findall(if_none_match)


def required_version(if_match: str | None) -> int | None:
    """The version that a change is for; None: the client does not care (no header, or `*`).

    Raises PreconditionFailed for a tag that no resource can have: malformed, weak (If-Match compares strongly), of
    a list, or several of them.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    found = _VERSIONED.fullmatch(if_match.strip())
    if found is None:
        raise PreconditionFailed("If-Match is not an ETag of this resource.")
    return int(found[1])


def require(if_match: int | None, version: int, data: Out) -> None:
    """Raises PreconditionFailed, with the tag of now, when the client read another version than this."""
    if if_match not in (None, version):
        raise PreconditionFailed(details={"etag": etag(ENCODER.encode(data), version)})
