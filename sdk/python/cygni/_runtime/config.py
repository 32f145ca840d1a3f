"""Which API, and with which key: argument, then environment, then what `cygni login` kept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .behavior import (
    API_KEY_VARIABLE,
    API_URL_VARIABLE,
    CONFIG_HOME_VARIABLE,
    DEFAULT_BASE_URL,
    LOGIN_FILE,
    LOGIN_KEY_FIELD,
    LOGIN_URL_FIELD,
)
from .errors import ConfigurationError


@dataclass(frozen=True)
class Login:
    """What `cygni login` kept: a key, and the one URL it is for."""

    api_url: str
    api_key: str


@dataclass(frozen=True)
class Target:
    """Where calls go and the key they carry; an empty key sends no Authorization header."""

    base_url: str
    api_key: str


def login_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The path of the login file: $XDG_CONFIG_HOME/cygni/login.json, by default below ~/.config."""
    config_home = environ.get(CONFIG_HOME_VARIABLE) or str(Path.home() / ".config")
    return Path(config_home) / LOGIN_FILE


def read_login(environ: Mapping[str, str] = os.environ) -> Login | None:
    """The kept login, None without one. Raises ConfigurationError if the file is not what `cygni login` writes."""
    path = login_file(environ)
    try:
        kept = json.loads(path.read_text())
        return Login(api_url=normalize_base_url(kept[LOGIN_URL_FIELD]), api_key=kept[LOGIN_KEY_FIELD])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} cannot be used ({error!r}). Run `cygni login` to write it anew.") from error


def normalize_base_url(url: str) -> str:
    """The URL without a trailing slash, `/v1` added where it names no path. Raises ConfigurationError."""
    parts = urlsplit(url.strip())
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ConfigurationError(f"{url!r} is not the URL of an API; it looks like {DEFAULT_BASE_URL}.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


def resolve(api_key: str | None, base_url: str | None, environ: Mapping[str, str] = os.environ) -> Target:
    """Settle URL and key.

    Key: argument, CYGNI_API_KEY, login file. URL: argument, CYGNI_API_URL, the login file's (only with its key),
    the hosted API. A key from the login file goes to that file's URL and nowhere else. Raises ConfigurationError.
    """
    url = base_url or environ.get(API_URL_VARIABLE)
    url = normalize_base_url(url) if url else None
    key = environ.get(API_KEY_VARIABLE) or None if api_key is None else api_key
    if key is not None:
        return Target(url or DEFAULT_BASE_URL, _sound(key))
    login = read_login(environ)
    if login is None:
        raise ConfigurationError("There is no API key: pass api_key, set CYGNI_API_KEY, or run `cygni login`.")
    if url not in (None, login.api_url):
        raise ConfigurationError(
            f"The key kept by `cygni login` is for {login.api_url} and is not sent to {url}: set CYGNI_API_KEY too."
        )
    return Target(login.api_url, _sound(login.api_key))


def _sound(key: str) -> str:
    """The key, which a header can carry. Raises ConfigurationError without showing it."""
    if re.fullmatch("[!-~]*", key) is None:
        raise ConfigurationError(
            "The API key has a character that no key has: a line break, a space, or one that is not ASCII."
        )
    return key
