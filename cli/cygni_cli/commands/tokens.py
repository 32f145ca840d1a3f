from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cygni import OMIT
from cygni_cli.command import NounGroup, command
from cygni_cli.context import Context
from cygni_cli.output import Result, Table, ago

if TYPE_CHECKING:
    from cygni.types import LeakedToken, TokenInputKind

tokens = NounGroup(
    name="tokens",
    help="List, create, rotate and revoke API tokens.",
    places={
        "list": ("tokens:list_tokens", "All that you may see; never their secrets."),
        "create": ("tokens:create", "Make one; its secret is printed once."),
        "rotate": ("tokens:rotate", "Give one a new secret."),
        "revoke": ("tokens:revoke", "End one."),
        "report": ("tokens:report", "Report secrets found in public: they are revoked."),
    },
)


@command(examples=["cygni tokens", "cygni tokens list --json"])
def list_tokens(ctx: Context) -> Result:
    """List tokens."""
    items = list(ctx.client.tokens.list(limit=100))
    rows = [
        (
            one.id,
            one.name,
            one.kind,
            f"{one.prefix}…{one.last4}",
            one.status,
            one.scopes,
            ago(one.last_used_at) if one.last_used_at else "never",
            one.to_dict().get("expiresAt") or "never",
        )
        for one in items
    ]
    columns = ("TOKEN", "NAME", "KIND", "SECRET", "STATUS", "SCOPES", "USED", "EXPIRES")
    return Result(items, Table(columns, rows, "No tokens: cygni tokens create NAME --scope deployments:write"))


@command(
    examples=[
        "cygni tokens create laptop --scope '*'",
        "cygni tokens create ci --kind deploy --project shop --scope deployments:write --scope logs:read",
    ]
)
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; repeat it for more.")
@click.option("--kind", type=click.Choice(("personal", "team", "deploy")))
@click.option("--project", help="For a deploy token: the only project it reaches.")
@click.option("--environment", "-e", help="And the only environment.")
@click.option("--team", help="The id of its team, if you have several.")
@click.option("--expires-at", help="A time, 2027-01-01T00:00:00Z. Default: never.")
def create(
    ctx: Context,
    *,
    name: str,
    scopes: tuple[str, ...],
    kind: TokenInputKind | None,
    project: str | None,
    environment: str | None,
    team: str | None,
    expires_at: str | None,
) -> Result:
    """Make a token. Its secret is printed on stdout, this once."""
    token = ctx.client.tokens.create(
        name=name,
        scopes=scopes,
        kind=kind or OMIT,
        project_id=project or OMIT,
        environment=environment or OMIT,
        team_id=team or OMIT,
        expires_at=expires_at or OMIT,
    )
    return Result(token, [token.secret], [f"{token.id}: keep the secret now, it is not shown again."])


@command(examples=["cygni tokens rotate tok_01kav9ft…", "cygni tokens rotate tok_01kav9ft… --overlap 3600"])
@click.argument("token")
@click.option("--overlap", default=0, type=click.IntRange(0, 86400), help="Seconds the old secret still works.")
def rotate(ctx: Context, *, token: str, overlap: int) -> Result:
    """Give a token a new secret, which is printed on stdout, this once."""
    rotated = ctx.client.tokens.rotate(token, overlap_seconds=overlap)
    until = rotated.to_dict().get("previousSecretExpiresAt")
    after = [f"The old secret works until {until}." if until else "The old secret does not work any more."]
    return Result(rotated, [rotated.secret], after)


@command(examples=["cygni tokens revoke tok_01kav9ft…"])
@click.argument("token")
def revoke(ctx: Context, *, token: str) -> Result:
    """End a token at once and for good."""
    ctx.client.tokens.delete(token)
    return Result({"id": token, "status": "revoked"}, [f"{token} revoked"])


@command(examples=["cygni tokens report < found.txt", "git grep -hoE 'cyg[ptd]_[0-9A-Za-z]{36}' | cygni tokens report"])
@click.option("--url", help="Where they were found.")
def report(ctx: Context, *, url: str | None) -> Result:
    """Report secrets that were found in public, one a line of stdin. Those that are tokens are revoked at once."""
    secrets = sorted({line.strip() for line in sys.stdin if line.strip()})
    if not secrets:
        raise click.UsageError("There was nothing on stdin.")
    for start in range(0, len(secrets), 100):
        ctx.client.tokens.report(reports=[_found(secret, url) for secret in secrets[start : start + 100]])
    return Result({"received": len(secrets)}, [f"{len(secrets)} reported"])


def _found(secret: str, url: str | None) -> LeakedToken:
    return {"token": secret, "url": url} if url else {"token": secret}
