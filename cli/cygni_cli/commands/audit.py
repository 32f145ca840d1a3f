from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from cygni import OMIT
from cygni_cli.command import NounGroup, command
from cygni_cli.commands.deploy import team_id
from cygni_cli.commands.logs import Since
from cygni_cli.context import Context
from cygni_cli.errors import CliError
from cygni_cli.output import Result, Table, size

if TYPE_CHECKING:
    from cygni import Omit
    from cygni.types import AuditLogsExportFormat, AuditRow

MOST_PROBLEMS = 20
FORMATS = ("jsonl", "csv")
RESULTS = ("success", "denied", "failed")
INSTALLATION = "null"
"""How the API names the chain of what belongs to no team."""

audit = NounGroup(
    name="audit",
    help="The audit log: what was done, by whom, and that nobody altered it.",
    places={
        "list": ("audit:list_rows", "The latest rows."),
        "get": ("audit:get", "One row, with what was before and after."),
        "export": ("audit:export", "All rows as a file."),
        "checkpoints": ("audit:checkpoints", "Signed heads of the chains, to keep elsewhere."),
        "verify": ("audit:verify", "Compute the hashes again: was anything altered?"),
    },
)


def of_chain(function: Any) -> Any:
    """--team and --installation."""
    function = click.option("--installation", is_flag=True, help="What belongs to no team; needs instance:admin.")(
        function
    )
    return click.option("--team", help="Its slug or id.")(function)


_FILTERS = (
    click.option("--project", "-p", "project_id", help="Of this project only."),
    click.option("--environment", "-e", help="Of environments of this name only."),
    click.option("--actor", "actor_id", multiple=True, help="The id of who did it: user_…, tok_…."),
    click.option("--action", "action", multiple=True, help="deployment.created, env.revealed, access.denied, …"),
    click.option("--resource", "resource_id", multiple=True, help="The id of what it was done to."),
    click.option("--result", "result", multiple=True, type=click.Choice(RESULTS)),
    click.option("--ip", "ip", multiple=True, help="From this address."),
    click.option("--since", type=Since(), help="A time, or 10m, 2h, 1d."),
    click.option("--until", type=Since(), help="A time, or 10m, 2h, 1d."),
)


def filters(function: Any) -> Any:
    """What narrows a list or an export; `asked` gives it to the API."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function


def asked(chosen: dict[str, Any]) -> dict[str, Any]:
    """The filters that were given."""
    return {name: value for name, value in chosen.items() if value}


def chain(ctx: Context, team: str | None, *, installation: bool) -> str | Omit:
    """The API's name of the chain that the options choose; without one the API chooses."""
    if team and installation:
        raise click.UsageError("--team and --installation are two chains: give one.")
    if installation:
        return INSTALLATION
    return team_id(ctx, team) if team else OMIT


@command(
    examples=[
        "cygni audit                                        the last 20 rows",
        "cygni audit list --result denied --since 1d        what was refused",
        "cygni audit list --action env.revealed --project shop --json",
    ]
)
@of_chain
@filters
@click.option("--limit", "-n", default=20, type=click.IntRange(1, 100), help="How many. Default: 20.")
def list_rows(ctx: Context, *, team: str | None, installation: bool, limit: int, **chosen: Any) -> Result:
    """List what was done, newest first."""
    team_id = chain(ctx, team, installation=installation)
    items = ctx.client.audit_logs.list(team_id=team_id, limit=limit, **asked(chosen)).items
    rows = [(one.id, _time(one), _who(one), one.action, _what(one), one.result) for one in items]
    return Result(items, Table(("ROW", "AT", "BY", "ACTION", "ON", "RESULT"), rows, "No rows."))


@command(
    examples=[
        "cygni audit export audit.jsonl --team acme",
        "cygni audit export denied.csv --result denied --since 30d",
        "cygni audit export - | gzip > audit.jsonl.gz",
    ]
)
@click.argument("file")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Default: what FILE ends in, else jsonl.")
@of_chain
@filters
def export(
    ctx: Context, *, file: str, form: AuditLogsExportFormat | None, team: str | None, installation: bool, **chosen: Any
) -> Result:
    """Write all rows that the options mean to FILE, oldest first; - is stdout.

    A file is there once it is whole: what breaks off leaves none.
    """
    if file == "-" and ctx.as_json:
        raise click.UsageError("Both the rows and --json would be on stdout: name a file.")
    pieces = ctx.client.audit_logs.export(
        format=form or ("csv" if file.endswith(".csv") else "jsonl"),
        team_id=chain(ctx, team, installation=installation),
        **asked(chosen),
    )
    if file == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return Result(None)
    path, written = Path(file), 0
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as out:
            for piece in pieces:
                written += out.write(piece)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    after = [f"{size(written)} written."]
    if not path.name.endswith(".csv"):
        after.append(f"Check it: cygni audit verify {file}{' --filtered' if any(asked(chosen)) else ''}")
    return Result({"file": file, "bytes": written}, [file], after)


@command(examples=["cygni audit get aud_01kav9g3mge9h9vg1jj30g6p7f"])
@click.argument("row")
def get(ctx: Context, *, row: str) -> Result:
    """Show one row of the audit log, whole."""
    one = ctx.client.audit_logs.get(row)
    said = one.to_dict()
    actor: dict[str, Any] = said.get("actor") or {}
    shown = [
        (name, value)
        for name, value in (
            ("at", _time(one)),
            ("by", _who(one)),
            ("token", actor.get("tokenId")),
            ("from", actor.get("ip")),
            ("action", one.action),
            ("on", _what(one)),
            ("project", one.project_id),
            ("environment", one.environment),
            ("result", one.result),
            ("reason", one.reason),
            *((f"before.{name}", value) for name, value in (said.get("before") or {}).items()),
            *((f"after.{name}", value) for name, value in (said.get("after") or {}).items()),
            ("request", one.request_id),
            ("chain", f"{one.team_id or 'the installation'}, row {one.seq}"),
            ("hash", one.hash),
        )
        if value is not None
    ]
    return Result(one, Table(("FIELD", "VALUE"), shown, "It says nothing."))


@command(examples=["cygni audit checkpoints", "cygni audit checkpoints -n 1 --json > checkpoint.json"])
@of_chain
@click.option("--limit", "-n", default=20, type=click.IntRange(1, 100), help="How many. Default: 20.")
def checkpoints(ctx: Context, *, team: str | None, installation: bool, limit: int) -> Result:
    """List signed heads of the chains, newest first. Keep them, and the key, where nobody of here can write."""
    items = ctx.client.audit_logs.checkpoints(team_id=chain(ctx, team, installation=installation), limit=limit).items
    rows = [
        (one.id, one.team_id or "installation", one.seq, one.to_dict().get("signedAt"), one.key_id, one.public_key)
        for one in items
    ]
    columns = ("CHECKPOINT", "CHAIN", "UP TO", "SIGNED", "KEY", "PUBLIC KEY")
    return Result(items, Table(columns, rows, "None yet: one is made within the hour after a change."))


@command(
    examples=[
        "cygni audit verify                                  the API computes its chain again",
        "cygni audit verify --installation --json",
        "cygni audit verify audit.jsonl                      this computer computes an export again",
        "cygni audit verify audit.jsonl --checkpoint checkpoints.json --public-key q0Vd…=",
    ]
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), required=False)
@of_chain
@click.option("--from", "first", type=click.IntRange(1), help="Of the API's: the first row's seq. Default: 1.")
@click.option("--to", "last", type=click.IntRange(1), help="Of the API's: the last row's seq. Default: the newest.")
@click.option(
    "--checkpoint", "marks", type=click.File(), help="Of a FILE: what was signed; `audit checkpoints --json`."
)
@click.option("--public-key", help="Of a FILE: the key that must have signed the checkpoints.")
@click.option("--filtered", is_flag=True, help="Of a FILE: it was exported with filters, so rows are missing.")
def verify(
    ctx: Context,
    *,
    file: str | None,
    team: str | None,
    installation: bool,
    first: int | None,
    last: int | None,
    marks: TextIO | None,
    public_key: str | None,
    filtered: bool,
) -> Result:
    """Compute the hashes of the audit log again: no row altered, none missing.

    Without a FILE the API does it with what its database has. With one, made by `cygni audit export`, it is done here,
    and no login is needed. Ends with 0 when all fits, with 1 when something does not or could not be read.
    """
    if file is None:
        if marks or public_key or filtered:
            raise click.UsageError("--checkpoint, --public-key and --filtered go with a FILE.")
        return _verified_there(ctx, chain(ctx, team, installation=installation), first, last)
    if team or installation or first or last:
        raise click.UsageError("--team, --installation, --from and --to go without a FILE: it has its own chains.")
    return _verified_here(file, marks, public_key, filtered=filtered)


def _verified_there(ctx: Context, team: str | Omit, first: int | None, last: int | None) -> Result:
    found = ctx.client.audit_logs.verify(team_id=team, from_seq=first or OMIT, to_seq=last or OMIT)
    if found.valid:
        said = f"{found.checked_rows} rows are as they were written; the chain ends at {found.head_seq}."
        return Result(found, [said])
    return Result(
        found,
        error=_altered(f"row {found.first_bad_seq} is not what was written", f"{found.checked_rows} rows were read"),
    )


def _verified_here(file: str, marks: TextIO | None, public_key: str | None, *, filtered: bool) -> Result:
    from cygni_cli.chain import check  # noqa: PLC0415 - what it stands on is not needed elsewhere

    with click.open_file(file, "rb") as lines:
        report = check(lines, _checkpoints(marks) if marks else (), public_key=public_key, is_filtered=filtered)
    said = [
        f"{one.team_id or 'the installation'}: rows {one.first_seq} to {one.last_seq}, {one.rows} in all"
        + (f", signed up to {one.signed_to}" if one.signed_to else ", nothing of it signed")
        for one in report.chains.values()
    ]
    if report.problems:
        said += [
            f"line {one.line or '-'}, row {one.seq or '-'}: {one.message}" for one in report.problems[:MOST_PROBLEMS]
        ]
        worst = report.problems[0]
        where = f"row {worst.seq} of {worst.team_id or 'the installation'}" if worst.seq else f"line {worst.line}"
        more = f"{len(report.problems)} things do not fit, in {report.rows} rows that were read"
        return Result(report.as_json(), said, error=_altered(f"{where}: {worst.message}", more))
    if not report.rows and not filtered:
        # a chain is never empty: whoever exported it did that
        raise CliError(
            "There is nothing in this file to verify.",
            why=f"{file} has no rows.",
            fix="Make it with `cygni audit export FILE`; say --filtered if a filter left nothing.",
            code="empty_export",
        )
    after = [f"{report.rows} rows are as they were written."]
    if report.keys and public_key is None:
        after.append(
            f"Signed with {', '.join(sorted(report.keys))}: is that the key you kept? Give it as --public-key."
        )
    return Result(report.as_json(), said, after)


def _checkpoints(file: TextIO) -> list[dict[str, Any]]:
    """As `cygni audit checkpoints --json` or the API gives them, or a single one. Raises CliError."""
    try:
        found: Any = json.load(file)
    except ValueError as error:
        fix = "Make it with `cygni audit checkpoints --json`."
        raise CliError(f"{file.name} is not JSON.", why=str(error), fix=fix, code="bad_checkpoints") from error
    if isinstance(found, dict):
        found = cast("dict[str, Any]", found)
        found = found.get("data", [found])
    return found


def _altered(what: str, why: str) -> CliError:
    fix = "Keep what you have, then compare it with the database, or with an export made at another time."
    return CliError(f"The audit log was altered: {what}", why=f"{why}.", fix=fix, code="chain_broken")


def _time(row: AuditRow) -> str | None:
    return row.to_dict().get("createdAt")


def _who(row: AuditRow) -> str | None:
    return row.actor and (row.actor.name or row.actor.id)


def _what(row: AuditRow) -> str | None:
    thing = row.resource
    return thing and f"{thing.type} {thing.name or thing.id or ''}".rstrip()
