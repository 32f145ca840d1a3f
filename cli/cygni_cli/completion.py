"""Completion from live data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from .client import Client


def project_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return _offer(incomplete, lambda client: (one.name for one in client.projects.list(limit=100).items))


def environment_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Of the project that the line names, or that the command would take."""
    project = _project(ctx)
    if project is None:
        return []
    return _offer(incomplete, lambda client: (one.name for one in client.environments.list(project, limit=100).items))


def deployment_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The latest of the project that the line names, or that the command would take; else the latest of all."""
    from cygni import OMIT  # noqa: PLC0415

    project = _project(ctx)
    return _offer(
        incomplete,
        lambda client: (one.id for one in client.deployments.list(project_id=project or OMIT, limit=100).items),
    )


def connection_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return _offer(incomplete, lambda client: (one.id for one in client.git_connections.list(limit=100).items))


def _offer(incomplete: str, names: Callable[[Client], Iterable[str]]) -> list[str]:
    """Those that begin so. While somebody types, an error has no place: without an answer nothing is offered."""
    from cygni import CygniError  # noqa: PLC0415

    from .client import Client  # noqa: PLC0415

    try:
        with Client(max_retries=0, timeout=2) as client:
            return [name for name in names(client) if name.startswith(incomplete)]
    except CygniError:
        return []


def _project(ctx: click.Context) -> str | None:
    from .context import read_toml  # noqa: PLC0415
    from .errors import CliError  # noqa: PLC0415

    named = ctx.params.get("project") or os.environ.get("CYGNI_PROJECT")
    if named:
        return named
    try:
        return read_toml(Path.cwd()).get("project")
    except CliError:
        return None
