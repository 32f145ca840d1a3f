from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cygni import OMIT, NotFoundError, PermissionDeniedError
from cygni_cli.command import command, in_project
from cygni_cli.completion import deployment_ids
from cygni_cli.context import Context, Place
from cygni_cli.errors import CliError
from cygni_cli.output import Result, ago, seconds, size
from cygni_cli.story import follow

if TYPE_CHECKING:
    from cygni.types import Deployment, DeploymentCreateStrategy, Upload

STRATEGIES = ("rolling", "recreate")


@command(
    examples=[
        "cygni deploy                                this directory, to production",
        "cygni deploy ./shop --project shop          another one; the project is made if its name is free",
        "cygni deploy -e staging --message 'New prices'",
        "cygni deploy --detach --json                start it and print the deployment",
        "cygni deploy --branch main                  nothing of here: the project's repository",
        "cygni deploy --tag v1.2 -e staging          likewise; or --commit SHA",
    ]
)
@click.argument(
    "folder", metavar="[DIR]", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@in_project
@click.option("--branch", "-b", help="Deploy this branch of the project's git source, else of what was pushed to it.")
@click.option("--tag", help="This tag of it.")
@click.option("--commit", help="This commit of it: all 40 digits. May go with its branch.")
@click.option("--message", "-m", help="What is new; shown in lists.")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="How instances are exchanged. Default: rolling.")
@click.option("--clear-cache", is_flag=True, help="Build as if for the first time.")
@click.option("--detach", "-d", is_flag=True, help="Do not wait for the end.")
@click.option("--yes", "-y", is_flag=True, help="Make the project without asking.")
def deploy(
    ctx: Context,
    *,
    folder: Path | None,
    project: str | None,
    environment: str | None,
    branch: str | None,
    tag: str | None,
    commit: str | None,
    message: str | None,
    strategy: DeploymentCreateStrategy | None,
    clear_cache: bool,
    detach: bool,
    yes: bool,
) -> Result:
    """Upload a directory, build it and make it live; or build what is in the project's repository.

    What .gitignore and .cygniignore leave out is not uploaded. Ctrl-C lets go of the deployment; it goes on.
    """
    if branch or tag or commit:
        if folder is not None:
            raise click.UsageError("DIR is uploaded; --branch, --tag and --commit are of a repository: choose one.")
        place = ctx.place(project, environment)
        project_id, upload_id = place.project, None
    else:
        folder = folder or Path()
        place = ctx.place(project, environment, folder=folder, suggestion=folder.absolute().name)
        found = _find_project(ctx, place, yes=yes)
        upload_id = _upload(ctx, folder).id
        project_id = found or _create_project(ctx, place)
    deployment = ctx.client.deployments.create(
        project_id=project_id,
        environment=place.environment,
        branch=branch or OMIT,
        tag=tag or OMIT,
        commit_sha=commit or OMIT,
        upload_id=upload_id or OMIT,
        message=message or OMIT,
        strategy=strategy or OMIT,
        clear_cache=clear_cache or OMIT,
    )
    return _go_on(ctx, deployment, detach=detach)


@command(
    examples=[
        "cygni rollback                  to what was live before",
        "cygni rollback dep_01kav9ft…    to this one",
        "cygni rollback --keep-env       with the variables of now",
    ]
)
@click.argument("deployment", required=False, shell_complete=deployment_ids)
@in_project
@click.option("--keep-env", is_flag=True, help="Keep the variables of now instead of those it ran with.")
@click.option("--detach", "-d", is_flag=True, help="Do not wait for the end.")
def rollback(
    ctx: Context,
    *,
    deployment: str | None,
    project: str | None,
    environment: str | None,
    keep_env: bool,
    detach: bool,
) -> Result:
    """Make an earlier deployment live again; nothing is built.

    Without an id: the one that was live before. Its variables come back with it, except those deleted since.
    """
    if deployment:
        started = ctx.client.deployments.rollback(deployment, restore_env=not keep_env)
    else:
        place = ctx.place(project, environment)
        started = ctx.client.projects.rollback(place.project, environment=place.environment, restore_env=not keep_env)
    _tell_target(ctx, started)
    return _go_on(ctx, started, detach=detach)


@command(examples=["cygni restart", "cygni restart --project shop -e staging"])
@in_project
@click.option("--detach", "-d", is_flag=True, help="Do not wait for the end.")
def restart(ctx: Context, *, project: str | None, environment: str | None, detach: bool) -> Result:
    """Start what is live anew, with the variables and settings of now; nothing is built."""
    place = ctx.place(project, environment)
    started = ctx.client.projects.restart(place.project, environment=place.environment)
    return _go_on(ctx, started, detach=detach)


def _tell_target(ctx: Context, started: Deployment) -> None:
    """What is gone back to, and what will not be as it was."""
    identity = (started.to_dict().get("source") or {}).get("deploymentId")
    if identity:
        target = ctx.client.deployments.get(identity)
        said = f", “{target.message}”" if target.message else ""
        ctx.talk.say(f"Back to {identity}{said}, made {ago(target.created_at)}; nothing is built.")
    for warning in started.last_response.warnings:
        ctx.talk.say(f"Note: {warning.message}")


def _find_project(ctx: Context, place: Place, *, yes: bool) -> str | None:
    """Its id. None: it is to be made. Raises NotFoundError if a person says no to that."""
    try:
        return ctx.client.projects.get(place.project).id
    except PermissionDeniedError:
        # a token of a pipeline often may do no more than deploy, which takes a name as well
        return place.project
    except NotFoundError:
        # Whoever named the project in a script meant it: only a person may have mistyped.
        if ctx.interactive and not yes and not ctx.confirm(f"Make the project {place.project}?", flag="--yes"):
            raise
    return None


def _create_project(ctx: Context, place: Place) -> str:
    team = team_id(ctx, place.team) if place.team else None
    made = ctx.client.projects.create(name=place.project, team_id=team or OMIT)
    ctx.talk.say(f"Made the project {made.name}.")
    return made.id


def team_id(ctx: Context, slug: str) -> str:
    """The id of one of the caller's teams. Raises CliError, which lists them, for any other."""
    teams = ctx.client.me.get().teams or ()
    for team in teams:
        if slug in (team.slug, team.id):
            return team.id
    slugs = ", ".join(team.slug or team.id for team in teams) or "none"
    fix = "Correct `team` in cygni.toml, or CYGNI_TEAM."
    raise CliError(f"There is no team {slug}.", why=f"Your teams: {slugs}.", fix=fix, code="not_found")


def _upload(ctx: Context, folder: Path) -> Upload:
    began = time.monotonic()
    ctx.talk.passing("  Packing …")

    def progress(sent: int, total: int) -> None:
        ctx.talk.passing(f"  Upload   {size(sent)} of {size(total)}")

    upload = ctx.client.uploads.from_directory(folder, on_progress=progress)
    took = seconds((time.monotonic() - began) * 1000)
    ctx.talk.step("✓", "Upload", size(upload.size_bytes or 0), took)
    return upload


def _go_on(ctx: Context, started: Deployment, *, detach: bool) -> Result:
    if detach:
        return Result(started, [started.id], after=[f"Watch it: cygni deployments watch {started.id}"])
    return follow(ctx, started)
