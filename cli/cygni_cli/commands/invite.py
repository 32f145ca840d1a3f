from __future__ import annotations

import click

from cygni import OMIT
from cygni_cli.command import NounGroup, command
from cygni_cli.context import Context
from cygni_cli.output import Result, Table
from cygni_cli.people import in_team, team_of

invite = NounGroup(
    name="invite",
    help="Invite people to a team; accept an invitation.",
    places={
        "list": ("invite:list_invitations", "Who was invited."),
        "create": ("invite:create", "Invite somebody; prints the link where no mail is sent."),
        "revoke": ("invite:revoke", "Take an invitation back."),
        "accept": ("invite:accept", "Become a member."),
    },
)


@command(examples=["cygni invite", "cygni invite list --team acme"])
@in_team
def list_invitations(ctx: Context, *, team: str | None) -> Result:
    """List the invitations to a team."""
    items = list(ctx.client.invitations.list(team_of(ctx, team), limit=100))
    rows = [(one.id, one.email, one.role_name, one.project_ids, one.status, one.expires_at) for one in items]
    columns = ("INVITATION", "E-MAIL", "ROLE", "PROJECTS", "STATUS", "UNTIL")
    return Result(items, Table(columns, rows, "Nobody: cygni invite create grace@example.com --role developer"))


@command(
    examples=[
        "cygni invite create grace@example.com --role developer",
        "cygni invite create grace@example.com --role deployer --project shop",
    ]
)
@click.argument("email")
@click.option("--role", required=True, help="A built-in role, or one of the team's own.")
@click.option("--project", "projects", multiple=True, help="Only this project; repeat it for more.")
@in_team
def create(ctx: Context, *, email: str, role: str, projects: tuple[str, ...], team: str | None) -> Result:
    """Invite an e-mail address. The link works once, for seven days, and for that address alone."""
    made = ctx.client.invitations.create(team_of(ctx, team), email=email, role=role, project_ids=projects or OMIT)
    if made.accept_url is None:
        return Result(made, [f"{email} invited by mail"])
    return Result(made, [made.accept_url], [f"Send this link to {email}: it is not shown again."])


@command(examples=["cygni invite revoke inv_01kav9ft…"])
@click.argument("invitation")
@in_team
def revoke(ctx: Context, *, invitation: str, team: str | None) -> Result:
    """Take an invitation back."""
    ctx.client.invitations.delete(team_of(ctx, team), invitation)
    return Result({"id": invitation, "status": "revoked"}, [f"{invitation} revoked"])


@command(examples=["cygni invite accept 'https://cygni.example.com/invitation#Zt4m0Q1c…'"])
@click.argument("link")
def accept(ctx: Context, *, link: str) -> Result:
    """Become a member of the team that sent this link. Needs a session: cygni login."""
    joined = ctx.client.invitations.accept(invitation_token=link.rpartition("#")[2])
    return Result(joined, [f"You are a member of {joined.team_id}"])
