"""The login file: who writes it, and what is checked before."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .errors import CliError

if TYPE_CHECKING:
    from cygni.types import Me

    from .client import Client
    from .context import Context

PASSWORD_STDIN = "--password-stdin"  # noqa: S105  an option
"""One that reads a password from stdin."""


def ask_and_keep(ctx: Context, *, url: str | None, token: str | None = None) -> Me:
    """Ask for what is missing, check it by /v1/me, keep it. Returns Me; raises CliError for a token of no use."""
    url = url_of_api(ctx, url)
    return keep(url, token or ctx.ask("Token", flag="--token-stdin", hidden=True))


def url_of_api(ctx: Context, url: str | None) -> str:
    """As told, else CYGNI_API_URL, else asked for, where the last one is offered."""
    from cygni import DEFAULT_BASE_URL, ConfigurationError, read_login  # noqa: PLC0415 - `--help` needs no SDK

    url = url or os.environ.get("CYGNI_API_URL")
    if url is None:
        try:
            kept = read_login()
        except ConfigurationError:
            kept = None  # this call is about to write it anew
        url = ctx.ask("URL of the API", flag="--url", default=kept.api_url if kept else DEFAULT_BASE_URL)
    return url


def by_device(ctx: Context, *, url: str) -> Me | None:
    """Show a code, wait until somebody who is signed in elsewhere types it, and keep the session (RFC 8628).

    None: the API does not know this way. Raises CliError when they said no, or nobody said anything in time."""
    from cygni import NotFoundError  # noqa: PLC0415

    from .client import Client  # noqa: PLC0415

    with Client("", url) as client:
        try:
            codes = client.auth.device()
        except NotFoundError:
            return None
        ctx.talk.say(f"Open {codes.verification_uri} and type {codes.user_code}")
        ctx.talk.say(f"or, where you are signed in already: cygni approve {codes.user_code}")
        ctx.talk.say("With a password instead: cygni login --email …; with a token: cygni login --token-stdin")
        return keep(url, _device_secret(client, codes.device_code, codes.interval))


def _device_secret(client: Client, device_code: str, interval: float) -> str:
    from cygni import BadRequestError  # noqa: PLC0415

    while True:
        # the protocol has no event: the server says how often it may be asked
        time.sleep(interval)
        try:
            return client.auth.device_token(device_code=device_code).secret
        except BadRequestError as error:
            if error.code == "slow_down":
                interval += 5
            elif error.code != "authorization_pending":
                raise CliError(
                    error.message,
                    why="Whoever has this code must allow it within ten minutes.",
                    fix="Run `cygni login` again.",
                    code=error.code,
                    request_id=error.request_id,
                ) from error


def keep(url: str, token: str) -> Me:
    """Check a token by /v1/me and keep it, with its URL. Returns Me; raises CliError for one of no use."""
    from cygni import AuthenticationError, login_file  # noqa: PLC0415

    from .client import Client  # noqa: PLC0415

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


def read_password(ctx: Context, *, from_stdin: bool, new: bool = False) -> str:
    """From stdin, else asked for; a new one twice."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise click.UsageError(f"{PASSWORD_STDIN}: there was nothing on stdin.")
        return password
    password = ctx.ask("New password" if new else "Password", flag=PASSWORD_STDIN, hidden=True)
    if new and ctx.ask("Again", flag=PASSWORD_STDIN, hidden=True) != password:
        raise click.UsageError("The two passwords differ.")
    return password


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
