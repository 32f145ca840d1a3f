"""The git repository of a project: what a patch makes of it, and which connection may be its own."""

import msgspec

from cygnid.core.db import Tx
from cygnid.core.errors import ValidationError
from cygnid.resources.connections import queries as connections
from cygnid.resources.projects.queries import ProjectRow
from cygnid.resources.projects.schemas import ProjectSource, ProjectSourcePatch
from cygnid.source.git_url import parse


def merged(before: ProjectSource | None, patch: ProjectSourcePatch) -> ProjectSource:
    """Another repository begins with nothing of the one before. Raises ValidationError."""
    given = msgspec.to_builtins(patch)
    if before is not None and given.get("repositoryUrl", before.repository_url) == before.repository_url:
        given = msgspec.to_builtins(before) | given
    if "repositoryUrl" not in given:
        raise ValidationError.one("source.repositoryUrl", "Names the repository", code="required")
    return msgspec.convert(given, ProjectSource)


def repository(row: ProjectRow) -> str | None:
    return row.source and row.source.repository_url


async def check_connection(tx: Tx, team_id: str, source: ProjectSource | None) -> None:
    """That it is the team's, of the repository's host and for its protocol: a secret goes nowhere else.
    Raises ValidationError."""
    if source is None or source.connection_id is None:
        return
    found, url = await connections.connection(tx, source.connection_id), parse(source.repository_url)
    if found is None or found.team_id != team_id:
        reason = "The team has no such connection: GET /v1/git/connections lists them"
    elif found.host != url.authority:
        reason = f"This connection is for {found.host}, the repository is at {url.authority}"
    elif (found.auth_type == "sshKey") != (url.scheme == "ssh"):
        wanted = "ssh" if found.auth_type == "sshKey" else "https"
        reason = f"This connection is for {wanted}, the repository's URL is of another protocol"
    else:
        return
    raise ValidationError.one("source.connectionId", reason)
