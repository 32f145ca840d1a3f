from __future__ import annotations

import re
from typing import Any

import click

from cygni import segment
from cygni_cli.command import command, in_project
from cygni_cli.context import Context
from cygni_cli.output import Result, Table, ago


@command(examples=["cygni ps", "cygni ps --project shop -e staging --json", "cygni ps --all"])
@in_project
@click.option("--all", "-a", "with_stopped", is_flag=True, help="Also instances that have been stopped.")
def ps(ctx: Context, *, project: str | None, environment: str | None, with_stopped: bool) -> Result:
    """Show processes and their instances."""
    place = ctx.place(project, environment)
    path, query = f"/v1/projects/{segment(place.project)}", {"environment": place.environment, "limit": 100}
    processes = list(ctx.client.paginate(f"{path}/processes", query))
    found = ctx.client.paginate(f"{path}/instances", query)
    instances = [one for one in found if with_stopped or one["status"] != "stopped"]
    rows: list[tuple[Any, ...]] = []
    for process in processes:
        size = f"{process['cpu']} cpu, {process['memoryMb']} MB"
        state = f"{process['runningInstances']} of {process['instances']}"
        rows.append((process["type"], state, size, "", process["command"]))
        rows.extend(_instance_row(one) for one in instances if one["process"] == process["type"])
    empty = "No process runs here: nothing was deployed, or a static site, which needs none."
    table = Table(("PROCESS", "STATE", "SIZE", "SINCE", "COMMAND"), rows, empty)
    after = [f"{one['type']} has new settings that wait: cygni restart" for one in processes if one["pending"]]
    return Result({"processes": processes, "instances": instances}, table, after)


def _instance_row(one: dict[str, Any]) -> tuple[Any, ...]:
    last = one["lastExit"]
    note = f"last exit: {last['reason']} {ago(last['at'])}" if last else ""
    return (f"  {one['id']}", one["status"], f"{one['restarts']} restarts", ago(one["startedAt"]), note)


@command(examples=["cygni scale web=3", "cygni scale web=2 worker=0 --project shop"])
@click.argument("counts", metavar="PROCESS=COUNT...", nargs=-1, required=True)
@in_project
def scale(ctx: Context, *, counts: tuple[str, ...], project: str | None, environment: str | None) -> Result:
    """Set how many instances of a process run; 0 stops it. It acts at once and stays over deployments."""
    wanted = dict(map(_parse_count, counts))
    place = ctx.place(project, environment)
    changed = [
        ctx.client.request(
            "PATCH",
            f"/v1/projects/{segment(place.project)}/processes/{segment(process)}",
            query={"environment": place.environment},
            json={"instances": count},
        ).data
        for process, count in wanted.items()
    ]
    return Result(changed, [f"{one['type']} {one['instances']}" for one in changed], ["See it happen: cygni ps"])


def _parse_count(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"([A-Za-z0-9_-]+)=(\d+)", text)
    if not match:
        raise click.UsageError(f"{text!r} is not PROCESS=COUNT, such as web=3.")
    return match[1], int(match[2])
