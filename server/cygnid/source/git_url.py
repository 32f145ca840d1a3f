"""What a repository's URL says: pure, the same for whoever checks an input and whoever fetches."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*")
_SCP = re.compile(r"(?:([A-Za-z0-9_.-]+)@)?([A-Za-z0-9.-]+):(?!//)([^:].*)")
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock(/|$)|/\.")
_USUAL = {"https": 443, "http": 80, "ssh": 22}
Scheme = Literal["https", "http", "ssh", "file"]


class BadUrl(ValueError):
    """Not the URL of a repository; the message is for people."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class GitUrl:
    scheme: Scheme
    user: str | None
    """Of ssh."""
    host: str
    """In lower case; a v6 address without brackets. "": a file."""
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host as a connection names it: with its port where that is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _USUAL.get(self.scheme, 0) else f"{host}:{self.port}"


def parse(text: str) -> GitUrl:
    """Of `https://host/path`, `ssh://user@host/path`, `user@host:path`, and the schemes that only an operator can
    allow: http, file. Raises BadUrl."""
    if any(ord(char) <= 32 or ord(char) == 127 for char in text) or text.startswith("-") or "\\" in text:
        raise BadUrl("Must be a URL without spaces, control characters and backslashes")
    scp = None if "://" in text else _SCP.fullmatch(text)
    if scp is not None:
        return GitUrl(scheme="ssh", user=scp[1], host=_checked(scp[2]), port=22, path=_path(scp[3]))
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
    except ValueError as problem:
        raise BadUrl(f"Is no URL: {problem}") from problem
    if parts.scheme not in ("https", "http", "ssh", "file") or not text.lower().startswith(f"{parts.scheme}://"):
        raise BadUrl("Must begin with https:// or ssh://, or be of the form user@host:path")
    if parts.query or parts.fragment:
        raise BadUrl("Must end with the repository's path, without ? and #")
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        raise BadUrl(
            "Must not hold credentials",
            "Keep them in a git connection (POST /v1/git/connections) and name it in connectionId.",
        )
    if parts.username is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", parts.username):
        raise BadUrl("Has a user name that ssh does not take")
    if parts.scheme == "file":
        if parts.netloc:
            raise BadUrl("Must be file:///path, without a host")
        return GitUrl(scheme="file", user=None, host="", port=0, path=_path(unquote(parts.path)))
    return GitUrl(
        scheme=parts.scheme,
        user=parts.username,
        host=_checked(host),
        port=port or _USUAL[parts.scheme],
        path=_path(parts.path),
    )


def is_ref(name: str) -> bool:
    """Whether it can name a branch or tag: the rules of git-check-ref-format(1)."""
    return 0 < len(name.encode()) <= 255 and name != "@" and _BAD_REF.search(name) is None


def is_host(text: str) -> bool:
    """A host, with or without a port."""
    try:
        parts = urlsplit(f"//{text}")
        _checked(parts.hostname or "")
        return parts.port != 0 and parts.netloc == text and parts.username is None
    except ValueError:
        return False


def _checked(host: str) -> str:
    """Raises BadUrl for what is neither a name of DNS nor an address. Numbers that only some programs read as an
    address (octal, hexadecimal, short ones) are neither."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    last = host.rpartition(".")[2]
    if _HOST.fullmatch(host) is None or len(host) > 253 or re.fullmatch(r"[0-9]+|0[xX][0-9a-fA-F]*", last):
        raise BadUrl("Must name a host")
    return host.lower()


def _path(path: str) -> str:
    if not path.strip("/") or path.startswith("-"):
        raise BadUrl("Must name a repository")
    return path
