from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cygni import OMIT
from cygni_cli.command import NounGroup, command, in_project
from cygni_cli.commands.deploy import team_id
from cygni_cli.completion import project_names
from cygni_cli.context import DEFAULT_ENVIRONMENT, Context
from cygni_cli.errors import CliError
from cygni_cli.output import Result, Table, ago

if TYPE_CHECKING:
    from cygni.types import BuildSettingsPatch, ProjectSource, ProjectSourcePatch

projects = NounGroup(
    name="projects",
    help="List, show, create and delete projects.",
    places={
        "list": ("projects:list_projects", "All that you may see."),
        "show": ("projects:show", "One, with its environments."),
        "create": ("projects:create", "Make one; `cygni deploy` does so by itself."),
        "source": ("projects:source", "Show, set or clear the repository that one is deployed from."),
        "build": ("projects:build", "Show or set how one is built, and which changes are worth a build."),
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


@command(
    examples=[
        "cygni projects create shop",
        "cygni projects create shop --team acme",
        "cygni projects create shop --repo https://git.example.com/team/shop.git",
    ]
)
@click.argument("name")
@click.option("--team", help="Its team; needed only if you have several.")
@click.option("--repo", metavar="URL", help="Deploy it from this git repository, and every new commit by itself.")
@click.option("--branch", help="The branch of it. Default: main.")
@click.option("--connection", metavar="ID", help="What shows a private one: cygni git connections.")
def create(
    ctx: Context, *, name: str, team: str | None, repo: str | None, branch: str | None, connection: str | None
) -> Result:
    """Make a project with its production environment."""
    if not repo and (branch or connection):
        raise click.UsageError("--branch and --connection are of a repository: give --repo as well.")
    source: ProjectSource | None = None
    if repo:
        source = {"repository_url": repo}
        if branch:
            source["branch"] = branch
        if connection:
            source["connection_id"] = connection
    project = ctx.client.projects.create(name=name, team_id=team_id(ctx, team) if team else OMIT, source=source or OMIT)
    after = f"Deploy to it: cygni deploy --project {project.name}"
    if source:
        after = f"Its newest commit is deployed by itself. See: cygni deployments --project {project.name}"
    return Result(project, [project.name], [after])


@command(
    examples=[
        "cygni projects source shop",
        "cygni projects source shop --repo https://git.example.com/team/shop.git --branch release",
        "cygni projects source shop --clear",
    ]
)
@click.argument("name", shell_complete=project_names)
@click.option("--repo", metavar="URL", help="Deploy it from this git repository.")
@click.option("--branch", help="The branch of it.")
@click.option("--connection", metavar="ID", help="What shows a private one: cygni git connections.")
@click.option("--no-connection", is_flag=True, help="It is public.")
@click.option("--clear", is_flag=True, help="Deploy from uploads and pushes again.")
def source(
    ctx: Context,
    *,
    name: str,
    repo: str | None,
    branch: str | None,
    connection: str | None,
    no_connection: bool,
    clear: bool,
) -> Result:
    """Show, set or clear the git repository that a project is deployed from.

    What is not named stays as it is; another repository begins with the branch main and no connection.
    """
    if connection and no_connection:
        raise click.UsageError("--connection and --no-connection: choose one.")
    patch: ProjectSourcePatch = {}
    if repo:
        patch["repository_url"] = repo
    if branch:
        patch["branch"] = branch
    if connection or no_connection:
        patch["connection_id"] = connection
    if clear and patch:
        raise click.UsageError("--clear leaves nothing that the other options could set.")
    if clear or patch:
        project = ctx.client.projects.update(name, source=patch or None)
    else:
        project = ctx.client.projects.get(name)
    now = project.source
    rows = [(now.repository_url, now.branch, now.connection_id)] if now else []
    empty = f"{project.name} has no git source: it is deployed from uploads and pushes."
    return Result(project, Table(("REPOSITORY", "BRANCH", "CONNECTION"), rows, empty))


@command(
    examples=[
        "cygni projects build shop",
        "cygni projects build shop --root-dir apps/web --watch apps/web/ --watch packages/",
        "cygni projects build shop --build-command '' --watch ''",
    ]
)
@click.argument("name", shell_complete=project_names)
@click.option("--root-dir", metavar="FOLDER", help="The folder of the repository that is built.")
@click.option("--install-command", metavar="TEXT", help="Installs the dependencies.")
@click.option("--build-command", metavar="TEXT", help="Builds it.")
@click.option("--output-dir", metavar="FOLDER", help="Makes it a static site: what is served, after the build.")
@click.option("--release-command", metavar="TEXT", help="Runs once before each start of a new release.")
@click.option("--watch", metavar="PATTERN", multiple=True, help="New commits that change none of these are not built.")
def build(
    ctx: Context,
    *,
    name: str,
    root_dir: str | None,
    install_command: str | None,
    build_command: str | None,
    output_dir: str | None,
    release_command: str | None,
    watch: tuple[str, ...],
) -> Result:
    """Show or set how a project is built.

    What is not named stays as it is. An empty text clears: then cygni.toml decides, else what is detected.
    """
    patch: BuildSettingsPatch = {}
    if root_dir is not None:
        patch["root_dir"] = root_dir or None
    if install_command is not None:
        patch["install_command"] = install_command or None
    if build_command is not None:
        patch["build_command"] = build_command or None
    if output_dir is not None:
        patch["output_dir"] = output_dir or None
    if release_command is not None:
        patch["release_command"] = release_command or None
    if watch:
        patch["watch_paths"] = [pattern for pattern in watch if pattern]
    project = ctx.client.projects.update(name, build=patch) if patch else ctx.client.projects.get(name)
    # not by attribute: a server of another age may leave out some of it
    now = project.to_dict().get("build") or {}
    rows = [
        ("root folder", now.get("rootDir")),
        ("install command", now.get("installCommand")),
        ("build command", now.get("buildCommand")),
        ("output folder", now.get("outputDir")),
        ("release command", now.get("releaseCommand")),
        ("watch paths", " ".join(now.get("watchPaths") or ())),
    ]
    set_rows = [(setting, value) for setting, value in rows if value]
    empty = f"Nothing is set for {project.name}: cygni.toml decides, else what is detected."
    return Result(project, Table(("SETTING", "VALUE"), set_rows, empty))


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
