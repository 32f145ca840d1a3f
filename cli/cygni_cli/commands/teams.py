from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cygni import OMIT
from cygni_cli.command import NounGroup, command
from cygni_cli.context import Context
from cygni_cli.output import Result, Table, ago
from cygni_cli.people import in_team, member_of, team_of

if TYPE_CHECKING:
    from cygni.types import Team

teams = NounGroup(
    name="teams",
    help="Teams: list, show, create, change, delete, restore.",
    places={
        "list": ("teams:list_teams", "Those you are in."),
        "show": ("teams:show", "One of them, with what it asks of members and tokens."),
        "create": ("teams:create", "Make one, which you own."),
        "update": ("teams:update", "Change its name, or what it asks."),
        "delete": ("teams:delete", "Delete one with its projects; restorable for seven days."),
        "restore": ("teams:restore", "Undo that."),
    },
)
members = NounGroup(
    name="members",
    help="Members of a team: list them, change their role, remove them.",
    places={
        "list": ("teams:list_members", "Who is in the team, and with which role."),
        "role": ("teams:role", "Give a member another role."),
        "remove": ("teams:remove", "Remove a member, or leave."),
    },
)


@command(examples=["cygni teams", "cygni teams list --json"])
def list_teams(ctx: Context) -> Result:
    """List teams."""
    items = list(ctx.client.teams.list(limit=100))
    rows = [(one.id, one.name, one.slug, one.plan, one.member_count) for one in items]
    return Result(items, Table(("TEAM", "NAME", "SLUG", "PLAN", "MEMBERS"), rows, "You are in no team."))


@command(examples=["cygni teams show", "cygni teams show acme"])
@click.argument("team", required=False)
def show(ctx: Context, *, team: str | None) -> Result:
    """Show a team, by its slug or id."""
    return _shown(ctx.client.teams.get(team_of(ctx, team)))


@command(examples=["cygni teams create acme --name 'Acme Inc'"])
@click.argument("slug")
@click.option("--name", help="For people. Default: the slug.")
def create(ctx: Context, *, slug: str, name: str | None) -> Result:
    """Make a team. The slug is its short name: small letters, digits, hyphens."""
    made = ctx.client.teams.create(name=name or slug, slug=slug)
    return Result(made, [made.id], [f"cygni invite create grace@example.com --role developer --team {slug}"])


@command(examples=["cygni teams update --max-token-age-days 90", "cygni teams update --email-domain example.com"])
@click.argument("team", required=False)
@click.option("--name")
@click.option("--email-domain", "domains", multiple=True, help="Members' addresses are of it; '' for any.")
@click.option("--max-token-age-days", type=click.IntRange(0, 3650), help="0 for any.")
@click.option("--allowed-ip", "networks", multiple=True, help="From where tokens act; '' for anywhere.")
def update(
    ctx: Context,
    *,
    team: str | None,
    name: str | None,
    domains: tuple[str, ...],
    max_token_age_days: int | None,
    networks: tuple[str, ...],
) -> Result:
    """Change a team."""
    return _shown(
        ctx.client.teams.update(
            team_of(ctx, team),
            name=name or OMIT,
            allowed_email_domains=[one for one in domains if one] if domains else OMIT,
            max_token_age_days=OMIT if max_token_age_days is None else max_token_age_days or None,
            allowed_ips=[one for one in networks if one] if networks else OMIT,
        )
    )


@command(examples=["cygni teams delete acme", "cygni teams delete acme --confirm 'Acme Inc'"])
@click.argument("team")
@click.option("--confirm", help="The team's name, to be asked nothing.")
def delete(ctx: Context, *, team: str, confirm: str | None) -> Result:
    """Delete a team with its projects."""
    identity = team_of(ctx, team)
    name = confirm or ctx.ask("The name of the team, to be sure", flag="--confirm")
    gone = ctx.client.teams.delete(identity, confirm=name)
    return Result(gone, [f"{team} deleted"], [f"Until {gone.purge_at}: cygni teams restore {gone.id}"])


@command(examples=["cygni teams restore team_01kav9ft…"])
@click.argument("team")
def restore(ctx: Context, *, team: str) -> Result:
    """Undo the deletion of a team, by its id."""
    back = ctx.client.teams.restore(team)
    return Result(back, [f"{back.name} restored"])


@command(examples=["cygni members", "cygni members list --team acme"])
@in_team
def list_members(ctx: Context, *, team: str | None) -> Result:
    """List the members of a team."""
    items = list(ctx.client.members.list(team_of(ctx, team), limit=100))
    rows = [
        (
            one.id,
            one.name,
            one.email,
            one.role_name,
            [f"{role.role_name} on {role.project_id}" for role in one.project_roles or ()],
            one.two_factor_enabled,
            ago(one.last_active_at),
        )
        for one in items
    ]
    columns = ("MEMBER", "NAME", "E-MAIL", "ROLE", "ON PROJECTS", "2FA", "ACTIVE")
    return Result(items, Table(columns, rows, "Nobody."))


@command(examples=["cygni members role grace@example.com developer"])
@click.argument("member")
@click.argument("role")
@in_team
def role(ctx: Context, *, member: str, role: str, team: str | None) -> Result:
    """Give a member, by e-mail address or id, another role."""
    identity = team_of(ctx, team)
    changed = ctx.client.members.update(identity, member_of(ctx, identity, member).id, role=role)
    return Result(changed, [f"{changed.name} is {changed.role_name}"])


@command(examples=["cygni members remove grace@example.com"])
@click.argument("member")
@in_team
def remove(ctx: Context, *, member: str, team: str | None) -> Result:
    """Remove a member, by e-mail address or id. Yourself: leave."""
    identity = team_of(ctx, team)
    found = member_of(ctx, identity, member)
    ctx.client.members.delete(identity, found.id)
    return Result({"id": found.id, "removed": True}, [f"{member} removed"])


def _shown(team: Team) -> Result:
    age, networks = team.max_token_age_days or "any number of", ", ".join(team.allowed_ips) or "anywhere"
    lines = [
        f"{team.name} ({team.slug}), {team.id}",
        f"plan {team.plan}, members: {team.member_count}",
        f"addresses of members: {', '.join(team.allowed_email_domains) or 'any'}",
        f"tokens: up to {age} days old, from {networks}",
    ]
    return Result(team, lines)
