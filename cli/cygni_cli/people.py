"""Teams and members as people name them: by slug, by e-mail address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .errors import CliError

if TYPE_CHECKING:
    from cygni.types import Member

    from .context import Context


def in_team(function: Any) -> Any:
    """--team."""
    return click.option("--team", help="Its slug or id. Default: your only one.")(function)


def team_of(ctx: Context, reference: str | None) -> str:
    """The id of the team. Raises CliError when it is not said and there are several, or none is called so."""
    mine = ctx.client.me.get().teams or ()
    found = [one for one in mine if reference in (None, one.id, one.slug)]
    if len(found) == 1:
        return found[0].id
    if reference is not None and not found:
        return reference  # an id that is not the caller's: the API says what is wrong with it
    raise CliError(
        "No team is named.",
        why=f"You are in {len(mine)}: {', '.join(one.slug for one in mine)}.",
        fix="Say which: --team SLUG",
        code="team_required",
    )


def member_of(ctx: Context, team: str, reference: str) -> Member:
    """By e-mail address, name or id. Raises CliError."""
    for one in ctx.client.members.list(team, limit=100):
        if reference in (one.id, one.user_id, one.email, one.name):
            return one
    raise CliError(
        f"There is no member {reference}.",
        why="Nobody in the team has this e-mail address, name or id.",
        fix="cygni members",
        code="not_found",
    )
