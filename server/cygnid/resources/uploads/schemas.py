"""What is said of uploads."""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from cygnid.core.errors import InvalidState
from cygnid.core.schemas import In, Out, Timestamp

ArchiveType = Literal["application/gzip", "application/zstd", "application/zip"]
UploadStatus = Literal["pending", "receiving", "complete", "expired"]
MEDIA: tuple[str, ...] = ("application/gzip", "application/zstd", "application/zip")


class UploadEvent(StrEnum):
    COMPLETED = "upload.completed"


class NotTheNextBytes(InvalidState):
    """These are not the bytes that come next."""

    hint = "Go on at details.receivedBytes with a Content-Range, or send all of it without one."


class UploadExpired(InvalidState):
    """This upload has expired."""

    hint = "Create a new one and use it within a day."


class UploadInput(In, frozen=True, kw_only=True):
    size_bytes: Annotated[int, Meta(ge=1)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", max_length=64)]
    content_type: ArchiveType


class Upload(Out, frozen=True, kw_only=True):
    id: str
    team_id: str | None
    status: UploadStatus
    content_type: ArchiveType
    size_bytes: int
    sha256: str
    received_bytes: int
    """Where a Content-Range goes on."""
    expires_at: Timestamp
    created_at: Timestamp
    updated_at: Timestamp
    created_by: str
