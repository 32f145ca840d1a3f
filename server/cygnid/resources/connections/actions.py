"""What can happen to git connections."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cygnid.core import changes, clock
from cygnid.core.access import TeamAccess
from cygnid.core.db import Tx
from cygnid.core.errors import FieldError, ValidationError
from cygnid.core.ids import new_id
from cygnid.core.secrets import Secrets
from cygnid.resources.connections import queries
from cygnid.resources.connections.access import ConnectionAccess
from cygnid.resources.connections.queries import ConnectionRow
from cygnid.resources.connections.schemas import ConnectionEvent, ConnectionInput, ConnectionInUse
from cygnid.source.git_url import is_host


async def create(
    tx: Tx, access: TeamAccess, asked: ConnectionInput, secrets: Secrets, *, request_id: str | None
) -> ConnectionRow:
    """Keep the token sealed, or make a key. Raises ValidationError."""
    if problems := _problems(asked):
        raise ValidationError.of(problems)
    connection_id, now = new_id("git"), clock.now()
    public_key: str | None = None
    if asked.auth.token is not None:
        secret = asked.auth.token
    else:
        secret, public_key = _new_key(f"cygni-{connection_id}")
    await tx.execute(
        """INSERT INTO git_connections (id, team_id, name, provider, host, auth_type, username, public_key, secret,
               known_hosts, created_at, updated_at, created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12)""",
        connection_id,
        access.team_id,
        asked.name,
        asked.provider,
        asked.host.lower(),
        asked.auth.type,
        asked.auth.username,
        public_key,
        secrets.seal(queries.purpose(connection_id), secret.encode()),
        asked.known_hosts,
        now,
        access.actor.created_by,
    )
    row = await queries.connection(tx, connection_id)
    assert row is not None
    after = {"name": row.name, "host": row.host, "authType": row.auth_type}
    await changes.record(tx, access.actor, ConnectionEvent.CREATED, _subject(row), after=after, request_id=request_id)
    return row


async def delete(tx: Tx, access: ConnectionAccess, *, request_id: str | None) -> None:
    """Its secret is gone with it. Raises ConnectionInUse."""
    async with tx.unique(projects_connection=ConnectionInUse()):
        gone = await tx.execute("DELETE FROM git_connections WHERE id = $1", access.connection.id)
    if gone:
        await changes.record(
            tx, access.actor, ConnectionEvent.DELETED, _subject(access.connection), request_id=request_id
        )


async def keep_known_hosts(tx: Tx, connection_id: str, known_hosts: str) -> None:
    """The keys that the host showed when it was first met: from now on it must show the same. Never over others."""
    await tx.execute(
        "UPDATE git_connections SET known_hosts = $2 WHERE id = $1 AND known_hosts = ''", connection_id, known_hosts
    )


def _problems(asked: ConnectionInput) -> list[FieldError]:
    found: list[FieldError] = []
    if not is_host(asked.host):
        found.append(_wrong("host", "Must be a host name or address, with :port where it has one"))
    if asked.auth.type == "token" and asked.auth.token is None:
        found.append(_wrong("auth.token", "Is what the host gave you", "required"))
    if asked.auth.type == "sshKey" and asked.auth.token is not None:
        found.append(_wrong("auth.token", "Goes with type token; an ssh key is made here", "not_allowed"))
    if asked.auth.type == "token" and asked.known_hosts:
        found.append(_wrong("knownHosts", "Goes with type sshKey", "not_allowed"))
    return found


def _wrong(field: str, reason: str, code: str = "invalid") -> FieldError:
    return FieldError(field=field, code=code, reason=reason)


def _new_key(comment: str) -> tuple[str, str]:
    """An ed25519 key in OpenSSH's own formats: private, public."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}"


def _subject(row: ConnectionRow) -> changes.Subject:
    return changes.Subject(type="gitConnection", id=row.id, name=row.name, team_id=row.team_id)
