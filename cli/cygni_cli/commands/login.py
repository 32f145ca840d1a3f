from __future__ import annotations

import os
import sys

import click

from cygni import login_file, resolve
from cygni.types import Token
from cygni_cli.command import command
from cygni_cli.context import Context
from cygni_cli.login import ask_and_keep, name_of
from cygni_cli.output import Result


@command(
    examples=[
        "cygni login                                             asks for both",
        "cygni login --url http://127.0.0.1:8000/v1",
        "pass show cygni | cygni login --url https://… --token-stdin",
    ]
)
@click.option("--url", help="URL of the API. Default: CYGNI_API_URL, then the last one.")
@click.option("--token-stdin", is_flag=True, help="Read the token from stdin.")
def login(ctx: Context, *, url: str | None, token_stdin: bool) -> Result:
    """Keep the URL of an API and a token for it, after a look whether they fit."""
    token = sys.stdin.readline().strip() if token_stdin else None
    if token == "":
        raise click.UsageError("--token-stdin: there was nothing on stdin.")
    me = ask_and_keep(ctx, url=url, token=token)
    after = ["Deploy a directory: cygni deploy"]
    if os.environ.get("CYGNI_API_KEY"):
        after = ["CYGNI_API_KEY is set: it is used instead of this login until it is unset."]
    target = resolve(None, None, {**os.environ, "CYGNI_API_KEY": "", "CYGNI_API_URL": ""})
    data = {"apiUrl": target.base_url, "file": str(login_file()), **me.to_dict()}
    return Result(data, [f"Logged in to {target.base_url} as {name_of(me)}"], after)


@command(examples=["cygni logout"])
def logout(ctx: Context) -> Result:
    """Forget URL and token. The token stays valid: `cygni tokens revoke` ends one."""
    path = login_file()
    was_there = path.exists()
    path.unlink(missing_ok=True)
    return Result({"removed": was_there}, ["Logged out" if was_there else "There was no login"])


@command(examples=["cygni whoami", "cygni whoami --json"])
def whoami(ctx: Context) -> Result:
    """Show whose token is used, what it may do, and where."""
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
