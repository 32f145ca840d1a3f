from __future__ import annotations

import click

from cygni import OMIT
from cygni_cli.command import NounGroup, command, in_project
from cygni_cli.completion import deployment_ids
from cygni_cli.context import Context
from cygni_cli.output import Result, Table, ago, seconds
from cygni_cli.story import ENDS, follow

deployments = NounGroup(
    name="deployments",
    help="List, show, watch and cancel deployments.",
    places={
        "list": ("deployments:list_deployments", "The latest ones of an environment."),
        "show": ("deployments:show", "One, step by step."),
        "watch": ("deployments:watch", "Follow one to its end."),
        "approve": ("deployments:approve", "Approve one that waits for it."),
        "cancel": ("deployments:cancel", "Stop one that is not live yet."),
    },
)


@command(examples=["cygni deployments", "cygni deployments list --project shop -e staging -n 50"])
@in_project
@click.option("--limit", "-n", default=20, type=click.IntRange(1, 100), help="How many. Default: 20.")
def list_deployments(ctx: Context, *, project: str | None, environment: str | None, limit: int) -> Result:
    """List the latest deployments of an environment, newest first."""
    place = ctx.place(project, environment)
    items = ctx.client.deployments.list(
        project_id=place.project, environment=place.environment, limit=limit, sort="-createdAt"
    ).items
    rows = [
        (
            f"{one.id}{' *' if one.is_current else ''}",
            one.status,
            one.type,
            ago(one.created_at),
            seconds(one.duration_ms),
            one.message or (one.failure and one.failure.code),
        )
        for one in items
    ]
    columns = ("DEPLOYMENT", "STATUS", "TYPE", "MADE", "TOOK", "MESSAGE")
    return Result(items, Table(columns, rows, "Nothing was deployed here yet: cygni deploy"))


@command(examples=["cygni deployments show dep_01kav9ft00ebjbrx435zc1xe36"])
@click.argument("deployment", shell_complete=deployment_ids)
def show(ctx: Context, *, deployment: str) -> Result:
    """Show one deployment, step by step."""
    one = ctx.client.deployments.get(deployment)
    ctx.talk.dim(f"{one.id} · {one.environment} · {one.status}")
    steps = one.steps or ()
    rows = [(step.name, step.status, seconds(step.duration_ms), step.message) for step in steps]
    after: list[str] = []
    if failure := one.failure:
        after = [*(failure.log_excerpt or ()), f"{failure.code}: {failure.message}", failure.hint or ""]
    elif one.status == "awaitingApproval":
        after = [f"Somebody else approves it: cygni deployments approve {one.id}"]
    elif one.status not in ENDS:
        after = [f"Watch it: cygni deployments watch {one.id}"]
    return Result(one, Table(("STEP", "STATUS", "TOOK", "MESSAGE"), rows, "It has no steps yet."), after)


@command(examples=["cygni deployments watch dep_01kav9ft00ebjbrx435zc1xe36"])
@click.argument("deployment", shell_complete=deployment_ids)
def watch(ctx: Context, *, deployment: str) -> Result:
    """Follow a deployment to its end, as `cygni deploy` does."""
    return follow(ctx, ctx.client.deployments.get(deployment))


@command(examples=["cygni deployments approve dep_01kav9ft00ebjbrx435zc1xe36 --comment 'Prices checked'"])
@click.argument("deployment", shell_complete=deployment_ids)
@click.option("--comment", help="Why, for those who ask later.")
def approve(ctx: Context, *, deployment: str, comment: str | None) -> Result:
    """Approve a deployment that waits for it. Not your own."""
    one = ctx.client.deployments.approve(deployment, comment=comment or OMIT)
    said = f"{one.id} {one.status}, {len(one.approvals or ())} of {one.approvals_required} approvals"
    return Result(one, [said], [f"Watch it: cygni deployments watch {one.id}"])


@command(examples=["cygni deployments cancel dep_01kav9ft00ebjbrx435zc1xe36"])
@click.argument("deployment", shell_complete=deployment_ids)
def cancel(ctx: Context, *, deployment: str) -> Result:
    """Stop a deployment that is not live yet. What is live stays live."""
    one = ctx.client.deployments.cancel(deployment)
    return Result(one, [f"{one.id} {one.status}"], [f"See it end: cygni deployments watch {one.id}"])
