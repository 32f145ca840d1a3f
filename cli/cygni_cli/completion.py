"""Completion from live data."""

from __future__ import annotations

import click


def project_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The names that begin so. While somebody types, an error has no place: without an answer nothing is offered."""
    from cygni import CygniError  # noqa: PLC0415

    from .client import Client  # noqa: PLC0415

    try:
        with Client(max_retries=0, timeout=2) as client:
            projects = client.paginate("/v1/projects", {"limit": 100}).items
    except CygniError:
        return []
    return [project["name"] for project in projects if project["name"].startswith(incomplete)]
