"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): a POST that is sent twice is done once.

The answer is stored, encrypted, by the transaction that did the work, so only what was committed can be replayed and
a request that failed runs again. "Still running" is an advisory lock of that transaction: a crash gives it back.
"""

import re
from datetime import timedelta

import msgspec

from cygnid.core import clock
from cygnid.core.db import Tx
from cygnid.core.errors import IdempotencyInProgress, IdempotencyKeyReused, SecretNotReplayable, ValidationError
from cygnid.core.secrets import Secrets

KEPT = timedelta(hours=24)
SECRET_KEPT = timedelta(minutes=10)
_LONGEST = 255
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-\[\]-~]+")
_ANSWER, _SCOPE, _PRINT = "idempotency.answer", "idempotency.scope", "idempotency.fingerprint"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the request that came first: its status, and `data` as JSON."""

    status: int
    data: bytes


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    fingerprint: bytes
    status: int
    data: bytes | None
    resource_id: str | None
    is_over: bool
    secret_is_over: bool


def parse_key(header: str) -> str:
    """The key: an RFC 8941 string (`"…"`), or bare. Raises ValidationError for any other form, empty or too long."""
    text = header.strip()
    if quoted := _QUOTED.fullmatch(text):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        raise ValidationError.one("Idempotency-Key", "Must be a quoted string, or visible ASCII characters.")
    if not 1 <= len(key) <= _LONGEST:
        raise ValidationError.one("Idempotency-Key", f"Must have 1 to {_LONGEST} characters.")
    return key


def scope_key(secrets: Secrets, token_id: str, method: str, path: str, key: str) -> bytes:
    """What a stored answer is found by: no token sees another's, and a key means nothing on another route."""
    return secrets.digest(_SCOPE, _joined(token_id, method, path, key))


def fingerprint(secrets: Secrets, query: str, body: bytes) -> bytes:
    """Equal for equal requests. Keyed: a plain hash of a body with a password could be guessed from the table."""
    return secrets.digest(_PRINT, _joined(query, body))


async def look(tx: Tx, secrets: Secrets, key: bytes, fingerprint: bytes) -> Stored | None:
    """The stored answer; None: this request is the first, and holds the key until its transaction ends.

    Raises IdempotencyInProgress while another holds it, IdempotencyKeyReused when the first request was a different
    one, SecretNotReplayable when its answer had a secret that is no longer kept.
    """
    number = int.from_bytes(key[:8], "big", signed=True)
    if not await tx.value("SELECT pg_try_advisory_xact_lock($1)", number):
        raise IdempotencyInProgress(headers={"Retry-After": "1"})
    now = clock.now()
    row = await tx.one(
        _Row,
        """SELECT fingerprint, status, data, resource_id, created_at <= $2 AS is_over,
                  has_secret AND created_at <= $3 AS secret_is_over
           FROM idempotency WHERE key = $1""",
        key,
        now - KEPT,
        now - SECRET_KEPT,
    )
    if row is None or row.is_over:
        return None
    if row.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    if row.data is None or row.secret_is_over:
        raise SecretNotReplayable(details={"resourceId": row.resource_id})
    return Stored(status=row.status, data=secrets.open(_ANSWER, row.data))


async def keep(
    tx: Tx,
    secrets: Secrets,
    key: bytes,
    fingerprint: bytes,
    *,
    status: int,
    data: bytes,
    resource_id: str | None,
    has_secret: bool,
) -> None:
    """Store the answer of this transaction's work. Call it after `look` returned None, in the same transaction."""
    await tx.execute(
        """INSERT INTO idempotency (key, fingerprint, status, data, resource_id, has_secret, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (key) DO UPDATE SET fingerprint = $2, status = $3, data = $4, resource_id = $5,
               has_secret = $6, created_at = $7""",
        key,
        fingerprint,
        status,
        secrets.seal(_ANSWER, data),
        resource_id,
        has_secret,
        clock.now(),
    )


async def sweep(tx: Tx) -> int:
    """Drop secrets after ten minutes and whole answers after a day; how many rows changed."""
    now = clock.now()
    dropped = await tx.execute("DELETE FROM idempotency WHERE created_at <= $1", now - KEPT)
    return dropped + await tx.execute(
        "UPDATE idempotency SET data = NULL WHERE has_secret AND data IS NOT NULL AND created_at <= $1",
        now - SECRET_KEPT,
    )


def _joined(*parts: str | bytes) -> bytes:
    """Unambiguous: each part is preceded by its length."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
