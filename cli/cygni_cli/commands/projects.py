from __future__ import annotations

import click

from cygni import OMIT
from cygni_cli.command import NounGroup, command, in_project
from cygni_cli.commands.deploy import team_id
from cygni_cli.completion import project_names
from cygni_cli.context import DEFAULT_ENVIRONMENT, Context
from cygni_cli.errors import CliError
from cygni_cli.output import Result, Table, ago

projects = NounGroup(
    name="projects",
    help="List, show, create and delete projects.",
    places={
        "list": ("projects:list_projects", "All that you may see."),
        "show": ("projects:show", "One, with its environments."),
        "create": ("projects:create", "Make one; `cygni deploy` does so by itself."),
        "delete": ("projects:delete", "Stop and remove one; it can be restored for seven days."),
    },
)


@command(examples=["cygni projects", "cygni projects list --json"])
def list_projects(ctx: Context) -> Result:
    """List the projects you may see."""
    items = list(ctx.client.projects.list(limit=100, sort="name"))
    rows = [
        (
            one.name,
            one.status,
            one.url,
            one.latest_deployment and one.latest_deployment.status,
            ago(one.latest_deployment and one.latest_deployment.created_at),
        )
        for one in items
    ]
    return Result(
        items, Table(("PROJECT", "STATUS", "URL", "LATEST", "DEPLOYED"), rows, "No projects yet: cygni deploy")
    )


@command(examples=["cygni projects show shop"])
@click.argument("name", shell_complete=project_names)
def show(ctx: Context, *, name: str) -> Result:
    """Show a project and its environments."""
    project = ctx.client.projects.get(name)
    environments = list(ctx.client.environments.list(name, limit=100))
    ctx.talk.dim(f"{project.name} · {project.id} · {project.status}")
    rows = [(one.name, one.type, one.current_deployment_id, one.url) for one in environments]
    columns = ("ENVIRONMENT", "TYPE", "CURRENT", "URL")
    return Result({**project.to_dict(), "environments": environments}, Table(columns, rows, "It has no environments."))


@command(examples=["cygni projects create shop", "cygni projects create shop --team acme"])
@click.argument("name")
@click.option("--team", help="Its team; needed only if you have several.")
def create(ctx: Context, *, name: str, team: str | None) -> Result:
    """Make a project with its production environment."""
    project = ctx.client.projects.create(name=name, team_id=team_id(ctx, team) if team else OMIT)
    return Result(project, [project.name], [f"Deploy to it: cygni deploy --project {project.name}"])


@command(examples=["cygni projects delete shop", "cygni projects delete shop --confirm shop"])
@click.argument("name", shell_complete=project_names)
@click.option("--confirm", help="The project's name once more.")
def delete(ctx: Context, *, name: str, confirm: str | None) -> Result:
    """Stop and remove a project. It can be restored for seven days."""
    confirm = confirm or ctx.ask(f"This stops {name} for everyone. Type its name", flag="--confirm")
    project = ctx.client.projects.delete(name, confirm=confirm)
    restore = f"Take it back: cygni api POST /v1/projects/{project.id}/restore"
    return Result(project, [f"{project.name} is removed for good on {project.to_dict().get('purgeAt')}"], [restore])


@command(examples=["cygni open", "cygni open --project shop -e staging", "curl $(cygni open)"])
@in_project
def open_url(ctx: Context, *, project: str | None, environment: str | None) -> Result:
    """Print the URL of an environment, and open it where somebody sits at a terminal."""
    place = ctx.place(project, environment)
    if place.environment == DEFAULT_ENVIRONMENT:
        url = ctx.client.projects.get(place.project).url
    else:
        url = ctx.client.environments.get(place.project, place.environment).url
    if url is None:
        why = "Nothing with a web process is live there."
        raise CliError(f"{place.project} has no URL.", why=why, fix="Run `cygni deploy`.", code="no_url")
    if ctx.interactive and not ctx.as_json:
        click.launch(url)
    return Result({"url": url}, [url])
