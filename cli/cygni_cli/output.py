"""What a command says: a Result on stdout, as people or programs read it; talk is on stderr (talk.py)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from .errors import LET_GO

if TYPE_CHECKING:
    from .errors import CliError
    from .talk import Talk


@dataclass(frozen=True)
class Table:
    """Rows under headings; `empty` is said instead of a table without rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    empty: str


@dataclass(frozen=True)
class Result:
    """What a command hands back. It never prints by itself, so no command can forget `--json`.

    data: what `--json` prints. view: the same for people. after: the next command, said last on stderr.
    error: why it failed although there is data.
    """

    data: Any
    view: Table | Sequence[str] = ()
    after: Sequence[str] = ()
    error: CliError | None = None
    exit_code: int = 0


@dataclass(frozen=True)
class Feed:
    """A result that does not end by itself: an item a line, with `--json` one JSON document each."""

    items: Iterator[Any]
    line: Callable[[Any], str]


def render(result: Result | Feed, *, as_json: bool, talk: Talk) -> int:
    """Print it; returns the exit code."""
    if isinstance(result, Feed):
        try:
            for item in result.items:
                click.echo(_compact(item) if as_json else result.line(item))
        except KeyboardInterrupt:
            return LET_GO  # the way to end it
        return 0
    if as_json:
        click.echo(json.dumps(result.data, indent=2, ensure_ascii=False, default=_plain))
    elif isinstance(result.view, Table):
        _print_table(result.view, talk)
    else:
        for line in result.view:
            click.echo(line)
    if result.error is not None:
        talk.error(result.error)
        return result.error.exit_code
    for line in result.after:
        talk.say(line)
    return result.exit_code


def _print_table(table: Table, talk: Talk) -> None:
    if not table.rows:
        talk.say(table.empty)
        return
    rows = [[_cell(value) for value in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(table.columns, *rows, strict=True)]
    heading = _line(table.columns, widths)
    click.echo(click.style(heading, bold=True))
    for row in rows:
        click.echo(_line(row, widths))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cell(value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _compact(item: Any) -> str:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    """What the SDK answers with, as JSON."""
    return value.to_dict()


def ago(time: datetime | None) -> str:
    """A time as people say it: 5 min ago."""
    if time is None:
        return "-"
    seconds = (datetime.now(UTC) - time).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def since(time: datetime | None) -> str:
    """Seconds since a time of the API; nothing where the clocks disagree."""
    if time is None:
        return ""
    passed = (datetime.now(UTC) - time).total_seconds()
    return f"{passed:.0f} s" if passed >= 0 else ""


def ahead(time: datetime | None) -> str:
    """How long it is until then, roughly; nothing where nobody knows, or it has come."""
    left = 0.0 if time is None else (time - datetime.now(UTC)).total_seconds()
    if left <= 0:
        return ""
    return f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"


def seconds(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds / 1000:.1f} s"


def size(count: int) -> str:
    """So many bytes, in a unit that shows them."""
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 2**10:.1f} kB"
