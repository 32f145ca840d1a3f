from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cygni import OMIT
from cygni_cli.command import command
from cygni_cli.commands.deploy import team_id
from cygni_cli.context import Context
from cygni_cli.output import Result, Table, ahead, size

if TYPE_CHECKING:
    from cygni.types import Quota

_WORDS = {
    "projects": "projects",
    "deploymentsPerDay": "deployments a day",
    "buildMinutes": "minutes of builds a month",
    "logBytes": "logs a day",
}


@command(examples=["cygni quotas", "cygni quotas --team acme --json"])
@click.option("--team", help="Whose; needed only if you have several.")
def quotas(ctx: Context, *, team: str | None) -> Result:
    """Show what a team has used of what its plan has, and when that begins anew."""
    found = list(ctx.client.billing.quotas(team_id=team_id(ctx, team) if team else OMIT))
    rows = [(_WORDS.get(one.name, one.name), _said(one, one.used), *_rest(one)) for one in found]
    return Result(found, Table(("QUOTA", "USED", "OF", "ANEW IN"), rows, "No quotas."))


def _rest(one: Quota) -> tuple[str, str]:
    limit = one.to_dict().get("limit")
    return ("no limit" if limit is None else _said(one, int(limit)), ahead(one.resets_at))


def _said(one: Quota, number: int | None) -> str:
    if number is None:
        return ""
    return size(number) if one.name == "logBytes" else str(number)
