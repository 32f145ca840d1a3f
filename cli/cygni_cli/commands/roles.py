from __future__ import annotations

import click

from cygni import OMIT
from cygni_cli.command import NounGroup, command
from cygni_cli.context import Context
from cygni_cli.errors import FAILED
from cygni_cli.output import Result, Table
from cygni_cli.people import in_team, member_of, team_of

roles = NounGroup(
    name="roles",
    help="Roles: what members may do.",
    places={
        "list": ("roles:list_roles", "The built-in ones and the team's own."),
        "create": ("roles:create", "Make one out of permissions that you have."),
        "update": ("roles:update", "Change one for all who have it."),
        "delete": ("roles:delete", "Delete one that nobody has."),
    },
)
grants = NounGroup(
    name="grants",
    help="Grants: roles on single projects, also for a time.",
    places={
        "list": ("roles:list_grants", "Those that hold."),
        "add": ("roles:add", "Give a member or a token a role on a project."),
        "remove": ("roles:remove", "Take it away again."),
    },
)


@command(examples=["cygni roles", "cygni roles list --team acme"])
@in_team
def list_roles(ctx: Context, *, team: str | None) -> Result:
    """List roles."""
    items = list(ctx.client.roles.list(limit=100, team_id=team_of(ctx, team), sort="createdAt"))
    rows = [(one.id, one.name, one.built_in, len(one.scopes or ()), one.description) for one in items]
    return Result(items, Table(("ROLE", "NAME", "BUILT IN", "PERMISSIONS", "WHAT FOR"), rows, "None."))


@command(examples=["cygni roles create support --scope projects:read --scope logs:read"])
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; repeat it for more.")
@click.option("--description")
@in_team
def create(ctx: Context, *, name: str, scopes: tuple[str, ...], description: str | None, team: str | None) -> Result:
    """Make a role."""
    made = ctx.client.roles.create(
        name=name, scopes=scopes, description=description or OMIT, team_id=team_of(ctx, team)
    )
    return Result(made, [made.id])


@command(examples=["cygni roles update role_01kav9ft… --scope projects:read --scope logs:read --scope metrics:read"])
@click.argument("role")
@click.option("--scope", "scopes", multiple=True, help="All that it may do from now on.")
@click.option("--name")
@click.option("--description")
def update(ctx: Context, *, role: str, scopes: tuple[str, ...], name: str | None, description: str | None) -> Result:
    """Change a role, by its id."""
    changed = ctx.client.roles.update(
        role, scopes=scopes or OMIT, name=name or OMIT, description=OMIT if description is None else description
    )
    return Result(changed, [f"{changed.name} changed"])


@command(examples=["cygni roles delete role_01kav9ft…"])
@click.argument("role")
def delete(ctx: Context, *, role: str) -> Result:
    """Delete a role, by its id."""
    ctx.client.roles.delete(role)
    return Result({"id": role, "deleted": True}, [f"{role} deleted"])


@command(examples=["cygni grants", "cygni grants list --project shop"])
@click.option("--project")
def list_grants(ctx: Context, *, project: str | None) -> Result:
    """List grants."""
    items = list(ctx.client.grants.list(limit=100, project_id=project or OMIT))
    rows = [
        (one.id, one.user_id or one.token_id, one.role_name, one.project_id, one.environment, one.expires_at)
        for one in items
    ]
    columns = ("GRANT", "TO", "ROLE", "PROJECT", "ENVIRONMENT", "UNTIL")
    return Result(items, Table(columns, rows, "None: cygni grants add grace@example.com operator --project shop"))


@command(
    examples=[
        "cygni grants add grace@example.com operator --project shop -e production --until 2027-01-01T00:00:00Z",
        "cygni grants add tok_01kav9ft… deployer --project shop",
    ]
)
@click.argument("to")
@click.argument("role")
@click.option("--project", required=True)
@click.option("--environment", "-e", help="Default: all of them.")
@click.option("--until", help="A time, 2027-01-01T00:00:00Z. Default: until it is removed.")
def add(ctx: Context, *, to: str, role: str, project: str, environment: str | None, until: str | None) -> Result:
    """Give a member, by e-mail address or id, or a token, by its id, a role on a project."""
    team = ctx.client.projects.get(project).team_id or team_of(ctx, None)
    is_token = to.startswith("tok_")
    made = ctx.client.grants.create(
        project_id=project,
        role=role,
        user_id=OMIT if is_token else member_of(ctx, team, to).user_id,
        token_id=to if is_token else OMIT,
        environment=environment or OMIT,
        expires_at=until or OMIT,
    )
    return Result(made, [made.id])


@command(examples=["cygni grants remove grant_01kav9ft…"])
@click.argument("grant")
def remove(ctx: Context, *, grant: str) -> Result:
    """Take a role on a project away, at once."""
    ctx.client.grants.delete(grant)
    return Result({"id": grant, "deleted": True}, [f"{grant} removed"])


@command(examples=["cygni can deployments:write --project shop -e production", "cygni can env:reveal --member a@b.io"])
@click.argument("scope")
@click.option("--project", help="On this project. Default: in the team as a whole.")
@click.option("--environment", "-e")
@click.option("--member", help="Somebody else, by e-mail address or id.")
@in_team
def can(
    ctx: Context, *, scope: str, project: str | None, environment: str | None, member: str | None, team: str | None
) -> Result:
    """Ask whether you may do something, why, and what would allow it. Exit code 1: no."""
    named = team_of(ctx, team) if project is None else ctx.client.projects.get(project).team_id or team_of(ctx, None)
    answer = ctx.client.permissions.check(
        checks=[{"scope": scope, "project_id": project, "environment": environment}],
        user_id=member_of(ctx, named, member).user_id if member else OMIT,
        team_id=named,
    ).checks[0]
    others = ", ".join(f"{one.type} {one.name}" for one in answer.would_allow or ())
    lines = [f"{'yes' if answer.allowed else 'no'}: {answer.reason}"]
    return Result(
        answer,
        lines,
        [f"It would be allowed by: {others}"] if others else [],
        exit_code=0 if answer.allowed else FAILED,
    )
