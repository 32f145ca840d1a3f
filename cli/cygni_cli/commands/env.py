from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from cygni import OMIT
from cygni_cli.command import NounGroup, command, in_project
from cygni_cli.context import Context, Place
from cygni_cli.errors import CliError
from cygni_cli.output import Result, Table, ago

if TYPE_CHECKING:
    from cygni.types import (
        EnvAssignment,
        EnvAssignmentTarget,
        EnvAssignmentType,
        EnvExportFormat,
        EnvImportAnswer,
        EnvVariable,
    )

TARGETS = ("build", "runtime", "both")
NEXT = "It counts from the next deployment on, or now: cygni restart"

env = NounGroup(
    name="env",
    help="Variables of an environment. Values are secret unless set with --plain.",
    places={
        "list": ("env:list_variables", "All variables; no secret values."),
        "set": ("env:set_variables", "Set some: KEY=VALUE."),
        "get": ("env:get", "Print the value of one."),
        "unset": ("env:unset", "Remove one."),
        "import": ("env:import_file", "Set all that a dotenv file has."),
        "export": ("env:export", "Print all with their values."),
        "rollback": ("env:rollback", "Give one an earlier value again."),
    },
)


@command(examples=["cygni env", "cygni env list --project shop -e staging --json"])
@in_project
def list_variables(ctx: Context, *, project: str | None, environment: str | None) -> Result:
    """List the variables of an environment. Values of secrets and files are not shown."""
    place = ctx.place(project, environment)
    items = list(ctx.client.env.list(project_id=place.project, environment=place.environment, limit=100))
    rows = [
        (
            one.key,
            one.value if one.type == "plain" else "(hidden)",
            one.type,
            one.target,
            one.environments,
            one.version,
            "waits for a deployment" if one.pending else "",
            ago(one.updated_at),
        )
        for one in items
    ]
    columns = ("KEY", "VALUE", "TYPE", "TARGET", "ENVIRONMENTS", "VERSION", "PENDING", "CHANGED")
    return Result(items, Table(columns, rows, "No variables yet: cygni env set KEY=VALUE"))


@command(
    examples=[
        "cygni env set DATABASE_URL=postgres://…          a secret",
        "cygni env set --plain LOG_LEVEL=debug TZ=UTC     others may read these",
        "cygni env set --file TLS_KEY=./key.pem           the process gets a path; the file's content is the value",
        "pass show api-key | cygni env set API_KEY        the value from stdin, out of the shell's history",
    ]
)
@click.argument("assignments", metavar="KEY=VALUE...", nargs=-1, required=True)
@in_project
@click.option("--secret", "kind", flag_value="secret", default=True, help="The default: the value is not shown again.")
@click.option("--plain", "kind", flag_value="plain", help="The value is shown in lists.")
@click.option("--file", "kind", flag_value="file", help="KEY=PATH: the process finds the content in a file.")
@click.option("--target", type=click.Choice(TARGETS), help="Where it is seen. Default: both.")
def set_variables(
    ctx: Context,
    *,
    assignments: tuple[str, ...],
    project: str | None,
    environment: str | None,
    kind: EnvAssignmentType,
    target: EnvAssignmentTarget | None,
) -> Result:
    """Set variables, all or none. A KEY without a value takes it from stdin, or asks for it."""
    place = ctx.place(project, environment)
    variables: list[EnvAssignment] = []
    for assignment in assignments:
        key, has_value, value = assignment.partition("=")
        if not has_value:
            value = _read_value(ctx, key, alone=len(assignments) == 1)
        elif kind == "file":
            value = Path(value).read_text()
        variable: EnvAssignment = {"key": key, "value": value, "type": kind}
        if target:
            variable["target"] = target
        variables.append(variable)
    answer = ctx.client.env.set_all(
        project_id=place.project, environment=place.environment, variables=variables, prune=False
    )
    return _changed(answer)


@command(examples=["cygni env get LOG_LEVEL", "cygni env get DATABASE_URL --reason 'look into the slow queries'"])
@click.argument("key")
@in_project
@click.option("--reason", help="Why a secret is revealed; kept in the audit log.")
def get(ctx: Context, *, key: str, project: str | None, environment: str | None, reason: str | None) -> Result:
    """Print the value of one variable. Revealing a secret needs a reason."""
    variable = _find(ctx, ctx.place(project, environment), key)
    if variable.type == "plain":
        return Result(variable, [variable.value or ""])
    reason = reason or ctx.ask(f"Reason to reveal {key}", flag="--reason")
    revealed = ctx.client.env.reveal(variable.id, reason=reason)
    return Result(revealed, [revealed.value])


@command(examples=["cygni env unset LOG_LEVEL"])
@click.argument("key")
@in_project
def unset(ctx: Context, *, key: str, project: str | None, environment: str | None) -> Result:
    """Remove one variable. A rollback does not bring it back."""
    place = ctx.place(project, environment)
    variable = _find(ctx, place, key)
    others = [name for name in variable.environments or () if name != place.environment]
    if others:
        # shared with other environments, which keep it
        ctx.client.env.update(variable.id, environments=others)
    else:
        ctx.client.env.delete(variable.id)
    return Result({"key": key, "deleted": True}, [f"{key} removed"], [NEXT])


@command(examples=["cygni env import .env", "cygni env import .env --dry-run", "vault … | cygni env import -"])
@click.argument("file", type=click.File("rb"))
@in_project
@click.option("--dry-run", is_flag=True, help="Say what would change.")
def import_file(ctx: Context, *, file: BinaryIO, project: str | None, environment: str | None, dry_run: bool) -> Result:
    """Set all that a dotenv file has, as secrets. `-` is stdin."""
    place = ctx.place(project, environment)
    answer = ctx.client.env.import_(
        project_id=place.project,
        environment=place.environment,
        content=file.read().decode(errors="replace"),
        dry_run=dry_run or OMIT,
    )
    return _changed(answer, dry_run=dry_run)


@command(examples=["cygni env export --reason 'move to the new cluster' > .env", "cygni env export --format json"])
@in_project
@click.option("--format", "form", type=click.Choice(("dotenv", "json", "shell")), default="dotenv")
@click.option("--reason", help="Why; kept in the audit log.")
def export(
    ctx: Context, *, project: str | None, environment: str | None, form: EnvExportFormat, reason: str | None
) -> Result:
    """Print all variables with their values."""
    place = ctx.place(project, environment)
    reason = reason or ctx.ask("Reason to export all values", flag="--reason")
    exported = ctx.client.env.export(
        project_id=place.project, environment=place.environment, format=form, reason=reason
    )
    return Result(exported, [(exported.content or "").rstrip("\n")])


@command(examples=["cygni env rollback DATABASE_URL 3"])
@click.argument("key")
@click.argument("version", type=int, required=False)
@in_project
def rollback(ctx: Context, *, key: str, version: int | None, project: str | None, environment: str | None) -> Result:
    """Give a variable an earlier value again; without a VERSION, list them."""
    variable = _find(ctx, ctx.place(project, environment), key)
    if version is None:
        versions = ctx.client.env.versions(variable.id).items
        rows = [(one.version, ago(one.changed_at), one.changed_by, one.value_hash) for one in versions]
        table = Table(("VERSION", "CHANGED", "BY", "HASH"), rows, "It has no earlier values.")
        return Result(versions, table, [f"Take one: cygni env rollback {key} VERSION"])
    variable = ctx.client.env.rollback(variable.id, version=version)
    return Result(variable, [f"{key} is version {variable.version}, with the value of {version}"], [NEXT])


def _find(ctx: Context, place: Place, key: str) -> EnvVariable:
    found = ctx.client.env.list(project_id=place.project, environment=place.environment, key=key).items
    if found:
        return found[0]
    why = f"{place.project} has none of that name in {place.environment}."
    raise CliError(f"There is no variable {key}.", why=why, fix="See `cygni env list`.", code="not_found")


def _read_value(ctx: Context, key: str, *, alone: bool) -> str:
    """Of a KEY that came without a value."""
    if ctx.interactive:
        return ctx.ask(key, flag=f"{key}=VALUE", hidden=True)
    if not alone:
        raise click.UsageError(f"{key} has no value: stdin has room for one variable only.")
    return sys.stdin.read().removesuffix("\n")


def _changed(answer: EnvImportAnswer, *, dry_run: bool = False) -> Result:
    counts = ", ".join(
        f"{getattr(answer, name) or 0} {name}" for name in ("created", "updated", "unchanged", "deleted")
    )
    if answer.errors:
        first = answer.errors[0]
        why = f"line {first.line}: {first.reason}"
        error = CliError("Not all lines are variables.", why=why, fix="Correct them.", code="validation_error")
        return Result(answer, [counts], error=error)
    return Result(answer, [counts], after=["Nothing was changed."] if dry_run else [NEXT])
