from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from cygni import OMIT
from cygni_cli.command import command, in_project
from cygni_cli.completion import deployment_ids
from cygni_cli.context import Context
from cygni_cli.output import Feed, Result

if TYPE_CHECKING:
    from cygni.types import LogLine

LEVELS = ("debug", "info", "warn", "error")
SOURCES = ("build", "app", "request", "system")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Since(click.ParamType[str]):
    """A time of the API, or how long ago: 10m, 2h, 1d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if match := re.fullmatch(r"(\d+)([smhd])", value):
            then = datetime.now(UTC) - timedelta(seconds=int(match[1]) * UNITS[match[2]])
            return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        try:
            datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a time (2026-11-24T08:00:00Z) nor a span (10m, 2h, 1d).", param, ctx)
        return value


@command(
    examples=[
        "cygni logs                              the last 100 lines",
        "cygni logs -f                           and what comes, until Ctrl-C",
        "cygni logs --source app --level error --since 1h",
        "cygni logs --deployment dep_01kav9ft…   of one deployment",
    ]
)
@in_project
@click.option("--follow", "-f", is_flag=True, help="Show lines as they come, until Ctrl-C.")
@click.option("--lines", "-n", "limit", default=100, type=click.IntRange(1, 1000), help="How many. Default: 100.")
@click.option("--since", type=Since(), help="A time, or 10m, 2h, 1d.")
@click.option("--source", type=click.Choice(SOURCES))
@click.option("--level", type=click.Choice(LEVELS))
@click.option("--process", help="web, worker, …")
@click.option("--deployment", help="Lines of this deployment only.", shell_complete=deployment_ids)
@click.option("--search", help="Lines with this text only.")
def logs(
    ctx: Context,
    *,
    project: str | None,
    environment: str | None,
    follow: bool,
    limit: int,
    since: str | None,
    source: str | None,
    level: str | None,
    process: str | None,
    deployment: str | None,
    search: str | None,
) -> Result | Feed:
    """Show the last log lines, oldest first, or follow them."""
    place = ctx.place(project, environment)
    query: dict[str, Any] = {
        "project_id": place.project,
        "environment": place.environment,
        "since": since or OMIT,
        "source": [source] if source else OMIT,
        "level": [level] if level else OMIT,
        "process": [process] if process else OMIT,
        "deployment_id": [deployment] if deployment else OMIT,
        "search": search or OMIT,
    }
    items = ctx.client.logs.list(**query, limit=limit, sort="-timestamp").items[::-1]
    if follow:
        return Feed(_follow(ctx, query, items), lambda line: line_text(ctx, line))
    if not items:
        ctx.talk.say("No lines yet.")
    return Result(items, [line_text(ctx, line) for line in items])


def _follow(ctx: Context, query: dict[str, Any], kept: list[LogLine]) -> Iterator[LogLine]:
    """The lines that are kept already, and from there on those that come: none twice, none left out."""
    yield from kept
    last_id = kept[-1].id if kept else None
    from cygni_cli.client import events  # noqa: PLC0415 - needs the SDK's stream

    for event in events(lambda seen: ctx.client.logs.stream(**query, last_event_id=seen), last_id):
        if event.event == "log":
            yield event.data
        elif event.event == "gap":
            ctx.talk.say("(lines are missing here: they were not kept)")


def line_text(ctx: Context, line: LogLine) -> str:
    """One line as people read it: time, who, what."""
    who = line.process or line.step or line.source or ""
    if request := line.request:
        text = f"{request.method} {request.path} {request.status} {request.duration_ms} ms"
    else:
        text = line.message or ""
    time = (line.to_dict().get("timestamp") or "")[11:23]
    colour = {"error": "red", "warn": "yellow"}.get(line.level) if ctx.interactive else None
    return f"{time} {who:<8} {click.style(text, fg=colour) if colour else text}"
