"""The login file: who writes it, and what is checked before."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CliError

if TYPE_CHECKING:
    from cygni.types import Me

    from .context import Context


def ask_and_keep(ctx: Context, *, url: str | None, token: str | None = None) -> Me:
    """Ask for what is missing, check it by /v1/me, keep it. Returns Me; raises CliError for a token of no use."""
    from cygni import (  # noqa: PLC0415 - `--help` needs no SDK
        DEFAULT_BASE_URL,
        AuthenticationError,
        ConfigurationError,
        login_file,
        read_login,
    )

    from .client import Client  # noqa: PLC0415

    if url is None:
        url = os.environ.get("CYGNI_API_URL")
    if url is None:
        try:
            kept = read_login()
        except ConfigurationError:
            kept = None  # this call is about to write it anew
        url = ctx.ask("URL of the API", flag="--url", default=kept.api_url if kept else DEFAULT_BASE_URL)
    token = token or ctx.ask("Token", flag="--token-stdin", hidden=True)
    with Client(api_key=token, base_url=url) as client:
        try:
            me = client.me.get()
        except AuthenticationError as error:
            raise CliError(
                "The API does not accept this token.",
                why=f"{client.base_url} answered {error.code}.",
                fix="Copy the whole token, from `cyg` on, or make another: `cygnid token` where the API runs.",
                code=error.code,
                request_id=error.request_id,
            ) from error
        _keep(login_file(), {"apiUrl": client.base_url, "apiKey": token})
    return me


def _keep(path: Path, login: dict[str, str]) -> None:
    """Written beside and renamed, with its mode from the start: at no moment can others read the key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        json.dump(login, file, indent=2)
    beside.replace(path)


def name_of(me: Me) -> str:
    """Whom a token belongs to, in a word."""
    return (me.user and me.user.name) or f"the token {me.token and me.token.name}"
