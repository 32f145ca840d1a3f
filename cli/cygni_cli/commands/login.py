from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cygni import OMIT, APIStatusError, AuthenticationError, login_file, read_login, resolve
from cygni.types import Token
from cygni_cli.client import Client
from cygni_cli.command import command
from cygni_cli.context import Context
from cygni_cli.login import PASSWORD_STDIN, ask_and_keep, by_device, keep, name_of, read_password, url_of_api
from cygni_cli.output import Result

if TYPE_CHECKING:
    from cygni.types import Me


@command(
    examples=[
        "cygni login                                             shows a code to type where you are signed in",
        "cygni login --email ada@example.com                     a password instead: a session of twelve hours",
        "pass show cygni | cygni login --url https://… --token-stdin",
    ]
)
@click.option("--url", help="URL of the API. Default: CYGNI_API_URL, then the last one.")
@click.option("--token-stdin", is_flag=True, help="Read the token from stdin.")
@click.option("--email", help="Sign in with this address and its password.")
@click.option(PASSWORD_STDIN, is_flag=True, help="Read the password from stdin.")
@click.option("--otp", help="A code of the second factor, or a recovery code.")
def login(
    ctx: Context, *, url: str | None, token_stdin: bool, email: str | None, password_stdin: bool, otp: str | None
) -> Result:
    """Keep the URL of an API and a token for it, after a look whether they fit."""
    if email is not None:
        url = url_of_api(ctx, url)
        me = _sign_in(ctx, url, email, read_password(ctx, from_stdin=password_stdin), otp)
        return _logged_in(me)
    token = sys.stdin.readline().strip() if token_stdin else None
    if token == "":
        raise click.UsageError("--token-stdin: there was nothing on stdin.")
    if token is None and ctx.interactive:
        url = url_of_api(ctx, url)
        if (me := by_device(ctx, url=url)) is not None:
            return _logged_in(me)
    return _logged_in(ask_and_keep(ctx, url=url, token=token))


@command(examples=["cygni approve BCDF-GHJK", "cygni approve BCDF-GHJK --deny"])
@click.argument("code")
@click.option("--deny", is_flag=True, help="Say no.")
def approve(ctx: Context, *, code: str, deny: bool) -> Result:
    """Let a device in as you, by the code that it shows. Only if you see that device: whoever sent you a code by
    mail or chat wants your session."""
    ctx.client.auth.approve_device(user_code=code, approve=not deny)
    done = "The device is not let in" if deny else "The device is let in as you; cygni sessions lists it"
    return Result({"approved": not deny}, [done])


@command(
    examples=[
        "cygni register --email ada@example.com --name Ada --setup-code BCDF-GHJK-LMNP-QRST-VWXZ",
        "cygni register --email bo@example.com --name Bo --invitation Zt4m0Q1c…",
        "pass show cygni | cygni register --url https://… --email ada@example.com --name Ada --password-stdin",
    ]
)
@click.option("--url", help="URL of the API. Default: CYGNI_API_URL, then the last one.")
@click.option("--email", help="What you sign in with.")
@click.option("--name", help="What others see of you.")
@click.option("--invitation", help="What was mailed, or handed over: the part of the link after #.")
@click.option("--setup-code", help="The one that `cygnid up` printed: you own the installation.")
@click.option(PASSWORD_STDIN, is_flag=True, help="Read the password from stdin.")
def register(
    ctx: Context,
    *,
    url: str | None,
    email: str | None,
    name: str | None,
    invitation: str | None,
    setup_code: str | None,
    password_stdin: bool,
) -> Result:
    """Register with an installation, and sign in."""
    url = url_of_api(ctx, url)
    with Client("", url) as client:
        if not (setup_code or invitation) and ctx.interactive and client.auth.methods().registration == "setup":
            setup_code = ctx.ask("Setup code", flag="--setup-code")
        email = email or ctx.ask("E-mail address", flag="--email")
        name = name or ctx.ask("Name", flag="--name")
        password = read_password(ctx, from_stdin=password_stdin, new=True)
        client.auth.register(
            email=email,
            name=name,
            password=password,
            setup_code=setup_code or OMIT,
            invitation_token=invitation or OMIT,
        )
    return _logged_in(_sign_in(ctx, url, email, password))


@command(examples=["cygni logout"])
def logout(ctx: Context) -> Result:
    """Forget URL and token. A session ends; an API token stays valid: `cygni tokens revoke` ends one."""
    path = login_file()
    was_there = path.exists()
    ended = _end_session() if was_there else False
    path.unlink(missing_ok=True)
    return Result({"removed": was_there, "ended": ended}, ["Logged out" if was_there else "There was no login"])


@command(examples=["cygni whoami", "cygni whoami --json"])
def whoami(ctx: Context) -> Result:
    """Show whose token is used, what it may do, and where."""
    return shown(ctx)


def shown(ctx: Context) -> Result:
    """Of the token that is used."""
    me = ctx.client.me.get()
    # an older server may say less
    token = me.token or Token({})
    scopes = ", ".join(token.scopes or ())
    lines = [
        f"{name_of(me)} at {ctx.client.base_url}",
        f"token  {token.name} ({token.kind}, {token.prefix}…{token.last4}): {scopes}",
        *(f"team   {team.slug} ({team.role_name or 'no role'})" for team in me.teams or ()),
    ]
    return Result({"apiUrl": ctx.client.base_url, **me.to_dict()}, lines)


def _sign_in(ctx: Context, url: str, email: str, password: str, otp: str | None = None) -> Me:
    with Client("", url) as client:
        try:
            session = client.auth.login(email=email, password=password, otp=otp or OMIT)
        except AuthenticationError as error:
            if error.code != "otp_required" or otp is not None:
                raise
            otp = ctx.ask("Code of your second factor", flag="--otp")
            session = client.auth.login(email=email, password=password, otp=otp)
    return keep(url, session.secret)


def _logged_in(me: Me) -> Result:
    after = ["Deploy a directory: cygni deploy"]
    if os.environ.get("CYGNI_API_KEY"):
        after = ["CYGNI_API_KEY is set: it is used instead of this login until it is unset."]
    target = resolve(None, None, {**os.environ, "CYGNI_API_KEY": "", "CYGNI_API_URL": ""})
    data = {"apiUrl": target.base_url, "file": str(login_file()), **me.to_dict()}
    return Result(data, [f"Logged in to {target.base_url} as {name_of(me)}"], after)


def _end_session() -> bool:
    """Whether the login that is kept was a session that has ended now."""
    from cygni import ConfigurationError, CygniError  # noqa: PLC0415

    try:
        kept = read_login()
        if kept is None or not kept.api_key.startswith("cygs_"):
            return False
        with Client(kept.api_key, kept.api_url, max_retries=0) as client:
            client.auth.logout()
    except (APIStatusError, ConfigurationError, CygniError):
        return False  # it has ended before, or nobody can be told: it ends by itself
    return True
