from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

import click

from cygni import OMIT
from cygni_cli.command import NounGroup, command
from cygni_cli.commands.deploy import team_id
from cygni_cli.completion import connection_ids
from cygni_cli.context import Context
from cygni_cli.output import Result, Table, ago

if TYPE_CHECKING:
    from cygni.types import ConnectionAuth

connections = NounGroup(
    name="connections",
    help="List, create and delete git connections: how private repositories elsewhere are reached.",
    places={
        "list": ("connections:list_connections", "All that you may see; never their secrets."),
        "create": ("connections:create", "Keep a token for a host, or make an ssh key for it."),
        "delete": ("connections:delete", "Delete one that no project uses."),
    },
)


@command(examples=["cygni git connections", "cygni git connections list --json"])
def list_connections(ctx: Context) -> Result:
    """List git connections, with the public keys that their hosts must know."""
    items = list(ctx.client.git_connections.list(limit=100))
    rows = [
        (one.id, one.name, one.host, one.auth and one.auth.type, one.public_key or "", ago(one.created_at))
        for one in items
    ]
    columns = ("CONNECTION", "NAME", "HOST", "AUTH", "PUBLIC KEY", "CREATED")
    return Result(items, Table(columns, rows, "No connections: cygni git connections create NAME --host HOST"))


@command(
    examples=[
        "cygni git connections create deploy-key --host git.example.com",
        "pass show git | cygni git connections create ci --host git.example.com --token-stdin",
    ]
)
@click.argument("name")
@click.option("--host", required=True, help="The one host that may see the secret, with :port if it has its own.")
@click.option("--token-stdin", is_flag=True, help="Read a token from stdin, for https. Default: an ssh key is made.")
@click.option("--username", help="What the host wants beside the token, if anything.")
@click.option("--known-hosts", metavar="FILE", type=click.File(), help="For ssh: the host's keys, as ssh keeps them.")
@click.option("--team", help="Its team; needed only if you have several.")
def create(
    ctx: Context,
    *,
    name: str,
    host: str,
    token_stdin: bool,
    username: str | None,
    known_hosts: TextIO | None,
    team: str | None,
) -> Result:
    """Keep a token for a git host, or make an ssh key for it, whose public half is printed on stdout.

    The secret is kept encrypted, goes to this host only, and is never shown.
    """
    if username and not token_stdin:
        raise click.UsageError("--username goes with a token: give --token-stdin as well.")
    auth: ConnectionAuth = {"type": "sshKey"}
    if token_stdin:
        token = sys.stdin.readline().strip()
        if not token:
            raise click.UsageError("--token-stdin: there was nothing on stdin.")
        auth = {"type": "token", "token": token}
        if username:
            auth["username"] = username
    made = ctx.client.git_connections.create(
        name=name,
        host=host,
        auth=auth,
        known_hosts=known_hosts.read() if known_hosts else OMIT,
        team_id=team_id(ctx, team) if team else OMIT,
    )
    use = f"Use it: cygni projects create NAME --repo URL --connection {made.id}"
    if made.public_key:
        return Result(made, [made.public_key], [f"Give {host} this key, as a deploy key that may read.", use])
    return Result(made, [made.id], [use])


@command(examples=["cygni git connections delete git_01kav9ft…"])
@click.argument("connection", shell_complete=connection_ids)
def delete(ctx: Context, *, connection: str) -> Result:
    """Delete a git connection that no project uses. Its secret is gone with it."""
    ctx.client.git_connections.delete(connection)
    return Result({"id": connection, "status": "deleted"}, [f"{connection} deleted"])
