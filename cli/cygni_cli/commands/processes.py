from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from cygni_cli.command import command, in_project
from cygni_cli.context import Context
from cygni_cli.output import Result, Table, ago

if TYPE_CHECKING:
    from cygni.types import Instance


@command(examples=["cygni ps", "cygni ps --project shop -e staging --json", "cygni ps --all"])
@in_project
@click.option("--all", "-a", "with_stopped", is_flag=True, help="Also instances that have been stopped.")
def ps(ctx: Context, *, project: str | None, environment: str | None, with_stopped: bool) -> Result:
    """Show processes and their instances."""
    place = ctx.place(project, environment)
    processes = list(ctx.client.processes.list(place.project, environment=place.environment, limit=100))
    found = ctx.client.instances.list(place.project, environment=place.environment, limit=100)
    instances = [one for one in found if with_stopped or one.status != "stopped"]
    rows: list[tuple[Any, ...]] = []
    for process in processes:
        size = f"{process.cpu} cpu, {process.memory_mb} MB"
        state = f"{process.running_instances} of {process.instances}"
        rows.append((process.type, state, size, "", process.command))
        rows.extend(_instance_row(one) for one in instances if one.process == process.type)
    empty = "No process runs here: nothing was deployed, or a static site, which needs none."
    table = Table(("PROCESS", "STATE", "SIZE", "SINCE", "COMMAND"), rows, empty)
    after = [f"{one.type} has new settings that wait: cygni restart" for one in processes if one.pending]
    return Result({"processes": processes, "instances": instances}, table, after)


def _instance_row(one: Instance) -> tuple[Any, ...]:
    last = one.last_exit
    note = f"last exit: {last.reason} {ago(last.at)}" if last else ""
    return (f"  {one.id}", one.status, f"{one.restarts} restarts", ago(one.started_at), note)


@command(examples=["cygni scale web=3", "cygni scale web=2 worker=0 --project shop"])
@click.argument("counts", metavar="PROCESS=COUNT...", nargs=-1, required=True)
@in_project
def scale(ctx: Context, *, counts: tuple[str, ...], project: str | None, environment: str | None) -> Result:
    """Set how many instances of a process run; 0 stops it. It acts at once and stays over deployments."""
    wanted = dict(map(_parse_count, counts))
    place = ctx.place(project, environment)
    changed = [
        ctx.client.processes.update(place.project, process, environment=place.environment, instances=count)
        for process, count in wanted.items()
    ]
    return Result(changed, [f"{one.type} {one.instances}" for one in changed], ["See it happen: cygni ps"])


def _parse_count(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"([A-Za-z0-9_-]+)=(\d+)", text)
    if not match:
        raise click.UsageError(f"{text!r} is not PROCESS=COUNT, such as web=3.")
    return match[1], int(match[2])
