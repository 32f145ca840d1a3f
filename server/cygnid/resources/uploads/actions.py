"""What can happen to uploads. Their bytes are `receive.py`'s."""

from collections.abc import Sequence
from datetime import timedelta

from cygnid.core import changes, clock
from cygnid.core.db import Tx
from cygnid.core.errors import PayloadTooLarge, QuotaExceeded
from cygnid.core.ids import new_id
from cygnid.resources.uploads import queries
from cygnid.resources.uploads.access import UploadsAccess
from cygnid.resources.uploads.queries import UploadRow
from cygnid.resources.uploads.schemas import ArchiveType, UploadEvent, UploadExpired
from cygnid.settings import Settings

LIFETIME = timedelta(hours=24)
MAX_OPEN = 8
"""How many of the largest uploads somebody may have that no deployment holds."""


async def create(
    tx: Tx, settings: Settings, access: UploadsAccess, *, size_bytes: int, sha256: str, content_type: ArchiveType
) -> UploadRow:
    """Raises PayloadTooLarge, QuotaExceeded."""
    if size_bytes > settings.max_upload_bytes:
        raise PayloadTooLarge(
            f"An upload has at most {settings.max_upload_bytes} bytes.",
            hint="Leave out what can be built or downloaded: node_modules, .venv, build output.",
            details={"limit": settings.max_upload_bytes},
        )
    limit = MAX_OPEN * settings.max_upload_bytes
    used = await queries.open_bytes(tx, access.actor.created_by)
    if used + size_bytes > limit:
        raise QuotaExceeded(
            "Your uploads that no deployment uses have too many bytes together.",
            hint="Deploy them, or wait: what is not used expires within a day.",
            details={"quota": "uploadBytes", "limit": limit, "used": used},
        )
    upload_id, now = new_id("upl"), clock.now()
    await tx.execute(
        """INSERT INTO uploads (id, team_id, content_type, size_bytes, sha256, expires_at, created_at, updated_at,
               created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)""",
        upload_id,
        access.team_id,
        content_type,
        size_bytes,
        sha256,
        now + LIFETIME,
        now,
        access.actor.created_by,
    )
    return await _row(tx, upload_id)


async def use(tx: Tx, upload_id: str) -> None:
    """A deployment holds it: it does not expire. Raises UploadExpired when it is too late."""
    held = await tx.execute(
        """UPDATE uploads SET used_at = coalesce(used_at, $2), updated_at = $2
           WHERE id = $1 AND status = 'complete' AND (used_at IS NOT NULL OR expires_at > $2)""",
        upload_id,
        clock.now(),
    )
    if not held:
        raise UploadExpired


async def let_go(tx: Tx, upload_ids: Sequence[str]) -> None:
    """No deployment needs them any more: they expire."""
    await tx.execute(
        "UPDATE uploads SET used_at = NULL, expires_at = $2, updated_at = $2 WHERE id = ANY($1)",
        upload_ids,
        clock.now(),
    )


async def expire(tx: Tx) -> None:
    """Nobody may use those any more whose time is over."""
    await tx.execute(
        """UPDATE uploads SET status = 'expired', updated_at = $1
           WHERE used_at IS NULL AND expires_at <= $1 AND status <> 'expired'""",
        clock.now(),
    )


async def forget_expired(tx: Tx, *, since: timedelta) -> None:
    await tx.execute("DELETE FROM uploads WHERE status = 'expired' AND expires_at <= $1", clock.now() - since)


async def set_received(tx: Tx, upload_id: str, received_bytes: int) -> UploadRow:
    """So many bytes are in the file for good. Raises UploadExpired."""
    changed = await tx.execute(
        """UPDATE uploads SET received_bytes = $2::bigint,
               status = CASE WHEN $2::bigint = 0 THEN 'pending' ELSE 'receiving' END,
               turn = turn + 1, updated_at = $3
           WHERE id = $1 AND status IN ('pending', 'receiving')""",
        upload_id,
        received_bytes,
        clock.now(),
    )
    if not changed:
        raise UploadExpired
    return await _row(tx, upload_id)


async def complete(tx: Tx, access: UploadsAccess, upload_id: str, *, request_id: str | None = None) -> UploadRow:
    """All of its bytes are in the file, and are what was announced. Raises UploadExpired."""
    changed = await tx.execute(
        """UPDATE uploads SET received_bytes = size_bytes, status = 'complete', turn = turn + 1, updated_at = $2
           WHERE id = $1 AND status IN ('pending', 'receiving')""",
        upload_id,
        clock.now(),
    )
    if not changed:
        raise UploadExpired
    row = await _row(tx, upload_id)
    subject = changes.Subject(type="upload", id=row.id, name=None, team_id=row.team_id)
    await changes.record(tx, access.actor, UploadEvent.COMPLETED, subject, request_id=request_id)
    return row


async def _row(tx: Tx, upload_id: str) -> UploadRow:
    row = await queries.upload(tx, upload_id)
    assert row is not None, upload_id
    return row
