"""The entry point of `cygni`: the table of its commands, and how a call ends."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import click

from . import __version__
from .command import LazyGroup
from .context import Context
from .errors import FAILED, explain

EXAMPLES = """\b
Examples:
  cygni login                      keep a URL and a token
  cygni deploy                     this directory, built, started, live
  cygni logs -f                    what it says
  cygni env set DATABASE_URL=…     what it needs to know
  cygni rollback                   what ran before, without a build
"""

PLACES = {
    "deploy": ("deploy:deploy", "Upload a directory, build it and make it live."),
    "deployments": ("deployments:deployments", "List, show, watch and cancel deployments."),
    "rollback": ("deploy:rollback", "Make an earlier deployment live again; nothing is built."),
    "restart": ("deploy:restart", "Start what is live anew, with the variables of now."),
    "logs": ("logs:logs", "Show log lines, or follow them."),
    "env": ("env:env", "Variables of an environment: list, set, get, unset, import, export, rollback."),
    "ps": ("processes:ps", "Show processes and their instances."),
    "scale": ("processes:scale", "Set how many instances run: web=3."),
    "git": ("git:git", "Make a project a remote of this repository; connections to other git hosts."),
    "open": ("projects:open_url", "Print the URL and open it."),
    "projects": ("projects:projects", "List, show, create and delete projects."),
    "tokens": ("tokens:tokens", "List, create, rotate and revoke API tokens."),
    "teams": ("teams:teams", "List, create, change and delete teams."),
    "members": ("teams:members", "Who is in a team, and with which role."),
    "invite": ("invite:invite", "Invite people; accept an invitation."),
    "roles": ("roles:roles", "What members may do: built-in roles and the team's own."),
    "grants": ("roles:grants", "Roles on single projects, also for a time."),
    "can": ("roles:can", "Ask whether you, or somebody, may do something, and why."),
    "audit": ("audit:audit", "Who did what; whether the log was altered."),
    "quotas": ("quotas:quotas", "Show what a team has used of what its plan has."),
    "login": ("login:login", "Keep the URL of an API and a token for it."),
    "register": ("login:register", "Register with an installation, and sign in."),
    "approve": ("login:approve", "Let a device in as you, by the code that it shows."),
    "logout": ("login:logout", "Forget them; a session ends."),
    "sessions": ("sessions:sessions", "List and end your sessions."),
    "me": ("me:me", "Your own account: name, address, password."),
    "whoami": ("login:whoami", "Show whose token is used, and where."),
    "api": ("api:api", "Call any route of the API."),
    "doctor": ("doctor:doctor", "Check login, network, API and clock."),
    "completion": ("completion:completion", "Print the completion script of a shell."),
}


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"cygni {__version__}")
        ctx.exit()


root = LazyGroup(
    name="cygni",
    places=PLACES,
    help=f"Deploy from your terminal.\n\n{EXAMPLES}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version.",
        )
    ],
)


def run(args: Sequence[str], context: Context | None = None) -> int:
    """One call of `cygni`; returns its exit code. 0 done, 1 failed, 2 wrong usage, 130 let go."""
    context = context or Context()
    # known before the arguments are understood: a wrong call, too, answers in JSON
    context.as_json = "--json" in args
    try:
        code = root.main(list(args), prog_name="cygni", standalone_mode=False, obj=context)
        sys.stdout.flush()
        return code or 0
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; without this the interpreter complains while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Exception, click.Abort) as error:
        told = explain(error, where=context.where)
        if told is None:
            raise
        if context.as_json:
            # in one line, since it may follow the lines of a feed
            click.echo(json.dumps(told.as_json(), ensure_ascii=False))
        context.talk.error(told)
        return told.exit_code
    finally:
        context.close()


def main() -> None:
    sys.exit(run(sys.argv[1:]))
