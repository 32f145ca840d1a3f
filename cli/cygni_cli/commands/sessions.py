from __future__ import annotations

import click

from cygni_cli.command import NounGroup, command
from cygni_cli.context import Context
from cygni_cli.output import Result, Table, ago

sessions = NounGroup(
    name="sessions",
    help="List and end your sessions.",
    places={
        "list": ("sessions:list_sessions", "Where you are signed in."),
        "revoke": ("sessions:revoke", "End one, or all others."),
    },
)


@command(examples=["cygni sessions", "cygni sessions list --json"])
def list_sessions(ctx: Context) -> Result:
    """List your sessions that are active. Needs a session itself: cygni login."""
    items = list(ctx.client.sessions.list(limit=100))
    rows = [
        (
            one.id,
            one.name,
            f"{one.prefix}…{one.last4}",
            one.last_used_ip or "-",
            ago(one.last_used_at) if one.last_used_at else "never",
            one.to_dict().get("expiresAt") or "-",
        )
        for one in items
    ]
    return Result(items, Table(("SESSION", "BY", "SECRET", "FROM", "USED", "EXPIRES"), rows, "No sessions"))


@command(examples=["cygni sessions revoke tok_01kav9ft…", "cygni sessions revoke --others"])
@click.argument("session", required=False)
@click.option("--others", is_flag=True, help="All but the one that you use.")
def revoke(ctx: Context, *, session: str | None, others: bool) -> Result:
    """End a session at once."""
    if others == (session is not None):
        raise click.UsageError("Name a session, or pass --others.")
    if session is None:
        ctx.client.sessions.delete_others()
        return Result({"others": True, "status": "revoked"}, ["Your other sessions have ended"])
    ctx.client.sessions.delete(session)
    return Result({"id": session, "status": "revoked"}, [f"{session} ended"])
