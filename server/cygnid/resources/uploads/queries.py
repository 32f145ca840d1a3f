"""The table `uploads`."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from cygnid.core import clock
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.resources.uploads.schemas import ArchiveType, Upload, UploadStatus
from cygnid.settings import Settings

_UPLOAD = """id, team_id, status, content_type, size_bytes, sha256, received_bytes, turn, expires_at, used_at,
    created_at, updated_at, created_by"""


class UploadRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str | None
    status: UploadStatus
    content_type: ArchiveType
    size_bytes: int
    sha256: str
    received_bytes: int
    turn: int
    expires_at: datetime
    used_at: datetime | None
    created_at: datetime
    updated_at: datetime
    created_by: str

    def is_over(self) -> bool:
        """Its bytes are gone, or will be at any moment."""
        return self.status == "expired" or (self.used_at is None and self.expires_at <= clock.now())


class _Id(msgspec.Struct, frozen=True):
    id: str


def path(settings: Settings, upload_id: str) -> Path:
    """Where its bytes are."""
    return settings.uploads_folder / upload_id


async def upload(read: Read, upload_id: str) -> UploadRow | None:
    return await read.one(UploadRow, f"SELECT {_UPLOAD} FROM uploads WHERE id = $1", upload_id)  # noqa: S608  constant


async def usable(read: Read, actor: Actor, upload_id: str) -> UploadRow | None:
    """The upload, whatever its status, for who made it; None for everybody else."""
    row = await upload(read, upload_id)
    return row if row is not None and row.created_by == actor.created_by else None


async def complete_upload(read: Read, upload_id: str) -> UploadRow | None:
    """The upload when all of its bytes are there."""
    row = await upload(read, upload_id)
    return row if row is not None and row.status == "complete" else None


async def open_bytes(read: Read, created_by: str) -> int:
    """What somebody's uploads may take on the disk that no deployment holds."""
    return await read.value(
        """SELECT coalesce(sum(size_bytes), 0)::bigint FROM uploads
           WHERE created_by = $1 AND used_at IS NULL AND status <> 'expired'""",
        created_by,
    )


async def kept(read: Read, upload_ids: Sequence[str]) -> frozenset[str]:
    """Those of them whose bytes are still wanted."""
    rows = await read.all(_Id, "SELECT id FROM uploads WHERE id = ANY($1) AND status <> 'expired'", upload_ids)
    return frozenset(row.id for row in rows)


def shown(row: UploadRow) -> Upload:
    """On the wire: nothing is said of a team, since it belongs to who made it."""
    fields: dict[str, Any] = {name: getattr(row, name) for name in Upload.__struct_fields__}
    fields |= {"team_id": None, "status": "expired" if row.is_over() else row.status}
    return Upload(**fields)
