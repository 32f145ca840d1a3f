"""Where git fetches from for a project, and with what."""

from cygnid.core.db import Read
from cygnid.core.secrets import Secrets
from cygnid.resources.connections import queries as connections
from cygnid.resources.projects.queries import ProjectRow
from cygnid.settings import Settings
from cygnid.source.base import GitRemote, LocalRepository
from cygnid.source.git_url import parse


async def remote(reader: Read, secrets: Secrets, project: ProjectRow, url: str) -> GitRemote:
    """With the secret of the project's connection, which is for the repository that the project has now, and no other
    that it had once."""
    source = project.source
    if source is None or source.connection_id is None or source.repository_url != url:
        return GitRemote(url=url)
    row = await connections.connection(reader, source.connection_id)
    secret = await connections.secret(reader, secrets, source.connection_id)
    if row is None or row.host != parse(url).authority:
        return GitRemote(url=url)
    if row.auth_type == "token":
        return GitRemote(url=url, username=row.username, token=secret)
    return GitRemote(url=url, ssh_key=secret, known_hosts=row.known_hosts)


def local_repository(settings: Settings, project_id: str) -> LocalRepository:
    """What was pushed to the project."""
    return LocalRepository(path=settings.repository(project_id), uid=settings.repositories_uid)
