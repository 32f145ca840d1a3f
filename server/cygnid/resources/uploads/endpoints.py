"""Routes of uploads."""

from cygnid.core.access import Permission
from cygnid.core.db import Tx
from cygnid.core.errors import InvalidState, PayloadTooLarge, QuotaExceeded, Unavailable, UnsupportedMediaType
from cygnid.core.http import Answer, Body, Call, operation, receive
from cygnid.resources.uploads import actions, queries
from cygnid.resources.uploads.access import UploadAccess, UploadsAccess
from cygnid.resources.uploads.queries import UploadRow
from cygnid.resources.uploads.receive import receive as take
from cygnid.resources.uploads.schemas import MEDIA, Upload, UploadInput


@operation(
    "POST",
    "/v1/uploads",
    id="uploads.create",
    needs=Permission.DEPLOYMENTS_WRITE,
    status=201,
    answers=Upload,
    errors=[PayloadTooLarge, QuotaExceeded],
    example={
        "sizeBytes": 924,
        "sha256": "26f8fb00d6d6e1ed7141803a608a1c869c66b5a211b2c3e5c0b7abce1f3421cc",
        "contentType": "application/gzip",
    },
)
async def create_upload(tx: Tx, call: Call, access: UploadsAccess, data: UploadInput) -> Answer:
    """Announce an archive; its bytes come next."""
    row = await actions.create(
        tx,
        call.services.settings,
        access,
        size_bytes=data.size_bytes,
        sha256=data.sha256,
        content_type=data.content_type,
    )
    return _answer(row, location=f"/v1/uploads/{row.id}")


@operation("GET", "/v1/uploads/{id}", id="uploads.get", needs=Permission.DEPLOYMENTS_WRITE, answers=Upload)
async def get_upload(access: UploadAccess) -> Answer:
    """Get an upload, and how much of it has arrived."""
    return _answer(access.upload)


@receive(
    "/v1/uploads/{id}/content",
    id="uploads.putContent",
    needs=Permission.DEPLOYMENTS_WRITE,
    media=MEDIA,
    answers=Upload,
    errors=[InvalidState, UnsupportedMediaType, Unavailable],
)
async def put_content(call: Call, access: UploadAccess, body: Body) -> Answer:
    """Send an archive's bytes, all at once, or with Content-Range in parts that each go on at receivedBytes."""
    row = await take(call.services.pool, call.services.settings, access, body, request_id=call.request_id)
    return _answer(row)


def _answer(row: UploadRow, *, location: str | None = None) -> Answer:
    # nothing of an upload can be set after its creation
    return Answer(data=queries.shown(row), version=1, location=location)
