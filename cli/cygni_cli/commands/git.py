from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from cygni import resolve
from cygni_cli.command import LazyGroup, command, in_project
from cygni_cli.context import Context
from cygni_cli.errors import CliError
from cygni_cli.output import Result

git = LazyGroup(
    name="git",
    help="Deploy by git push, and from repositories elsewhere.",
    places={
        "remote": ("git:remote", "Where this repository is pushed to."),
        "connections": ("connections:connections", "How private repositories elsewhere are reached."),
        "credential": ("git:credential", "What git asks when it needs the login."),
    },
)
remote = LazyGroup(
    name="remote",
    help="Where this repository is pushed to.",
    places={"add": ("git:add", "Make a project of Cygni a remote of this repository.")},
)
HELPER = "!cygni git credential"


@command(examples=["cygni git remote add", "cygni git remote add deploy --project shop"])
@click.argument("name", default="cygni")
@in_project
def add(ctx: Context, *, name: str, project: str | None, environment: str | None) -> Result:
    """Make a project a remote of the repository in this folder. The login stays where `cygni login` keeps it: git asks
    this command for it, and nothing of it is written into the repository."""
    place = ctx.place(project, environment)
    url = str(ctx.client.projects.get(place.project).git_url)
    known = _git("remote", "get-url", name, check=False)
    if known is None:
        _git("remote", "add", "--", name, url)
    elif known != url:
        why = f"It is {known}."
        fix = f"Choose another name, or take it away: git remote remove {name}"
        raise CliError(f"There is a remote {name} already.", why=why, fix=fix, code="name_taken")
    section = f"credential.{url.rpartition('/git/')[0]}"
    # an empty helper first: those that the user has for all hosts would store the token
    _git("config", "--replace-all", f"{section}.helper", "")
    _git("config", "--add", f"{section}.helper", HELPER)
    return Result({"remote": name, "url": url}, [f"{name}  {url}"], [f"Deploy: git push {name} main"])


@command(examples=["printf 'protocol=https\\nhost=…\\n\\n' | cygni git credential get"])
@click.argument("action")
def credential(ctx: Context, *, action: str) -> Result:
    """Answer git's question for a login (gitcredentials(7)), for the API that this login is of and no other."""
    asked = dict(line.split("=", 1) for line in sys.stdin.read().splitlines() if "=" in line)
    login = resolve(None, None, os.environ)
    origin = login.base_url.removesuffix("/v1")
    if action != "get" or f"{asked.get('protocol')}://{asked.get('host')}" != origin:
        return Result(None)
    return Result({"username": "cygni"}, ["username=cygni", f"password={login.api_key}"])


def _git(*arguments: str, check: bool = True) -> str | None:
    """What git prints; None: it failed, and that is no error."""
    try:
        done = subprocess.run(["git", *arguments], check=False, capture_output=True, text=True, cwd=Path.cwd())
    except FileNotFoundError as error:
        why = "There is no such program."
        raise CliError("git is not installed.", why=why, fix="Install git.", code="no_git") from error
    if done.returncode == 0:
        return done.stdout.strip()
    if check:
        why = done.stderr.strip() or f"git ended with {done.returncode}"
        raise CliError("git does not do this.", why=why, fix="Run this in a repository: git init.", code="git_failed")
    return None
