"""Taking the bytes of an upload.

The row never says more than the file has for good: bytes are flushed to the disk before they are acknowledged, and
what lies in the file beyond the row was acknowledged to nobody and is written over. No connection to the database is
held while bytes are waited for.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from cygnid.core.db import Pool, begin, read
from cygnid.core.errors import NotFound, Unavailable, UnsupportedMediaType, ValidationError
from cygnid.core.http import Body, ClientGone
from cygnid.resources.uploads import actions, queries
from cygnid.resources.uploads.access import UploadAccess
from cygnid.resources.uploads.file import Busy, Hash, Hashers, UploadFile, opened
from cygnid.resources.uploads.queries import UploadRow
from cygnid.resources.uploads.schemas import NotTheNextBytes, UploadExpired
from cygnid.settings import Settings

SILENCE_SECONDS = 60
"""A sender that says nothing for so long keeps no one else waiting."""
_BUFFERED = 1 << 20
_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")
_hashers = Hashers()


@dataclass(frozen=True, kw_only=True)
class _Part:
    start: int
    end: int
    """The first byte that is not in it."""
    is_whole: bool
    """It came without a Content-Range: all of it, from the beginning."""


async def receive(
    pool: Pool, settings: Settings, access: UploadAccess, body: Body, *, request_id: str | None = None
) -> UploadRow:
    """Write the bytes, and when they are all there check their hash and complete the upload. The same bytes again
    change nothing. Raises ValidationError, UnsupportedMediaType, NotTheNextBytes, UploadExpired, Unavailable; and
    ClientGone, after what came has been kept."""
    upload = access.upload
    part = _part(upload, body)
    try:
        path = queries.path(settings, upload.id)
        with opened(path, create=upload.status in ("pending", "receiving")) as file:
            async with read(pool) as reader:
                row = await queries.upload(reader, upload.id)
            if row is None:
                raise NotFound
            if row.is_over():
                raise UploadExpired
            if row.status == "complete":
                await _require_same(file, row, part, body)
                return row
            return await _Receiving(pool, access, file, request_id).take(row, part, body)
    except FileNotFoundError:
        raise UploadExpired from None
    except Busy:
        raise NotTheNextBytes(
            "Another request is sending this upload.",
            hint="Wait for it, then ask for receivedBytes.",
            details={"receivedBytes": upload.received_bytes},
        ) from None


class _Receiving:
    """One request that writes."""

    def __init__(self, pool: Pool, access: UploadAccess, file: UploadFile, request_id: str | None) -> None:
        self._pool, self._access, self._file, self._request_id = pool, access, file, request_id

    async def take(self, row: UploadRow, part: _Part, body: Body) -> UploadRow:
        if self._file.size() < row.received_bytes or (part.is_whole and row.received_bytes):
            row = await self._set(row.id, 0)
        if part.start != row.received_bytes:
            raise _gap(row)
        hasher = _hashers.take(row.id, row.turn) or await self._file.hasher(row.received_bytes)
        end, stopped = part.start, None
        try:
            await self._file.cut(end)
            try:
                async for piece in _pieces(part, body):
                    await self._file.write(piece, end, hasher)
                    end += len(piece)
            except (ClientGone, TimeoutError) as error:
                stopped = error
            await self._file.keep()
        except BaseException:
            # nothing of this request is acknowledged; a full disk gets it back
            await self._file.cut(part.start)
            raise
        if end > part.start:
            row = await self._acknowledge(row, end, hasher)
        if isinstance(stopped, TimeoutError):
            raise Unavailable(
                f"No bytes came for {SILENCE_SECONDS} seconds.", hint="Go on at receivedBytes of GET /v1/uploads/{id}."
            ) from stopped
        if stopped is not None:
            raise stopped
        return row

    async def _acknowledge(self, row: UploadRow, end: int, hasher: Hash) -> UploadRow:
        if end < row.size_bytes:
            row = await self._set(row.id, end)
            _hashers.give(row.id, row.turn, hasher)
            return row
        if hasher.hexdigest() != row.sha256:
            await self._set(row.id, 0)
            await self._file.cut(0)
            raise ValidationError.one("sha256", "The bytes that came have another hash; the upload is empty again")
        async with begin(self._pool) as tx:
            return await actions.complete(tx, self._access, row.id, request_id=self._request_id)

    async def _set(self, upload_id: str, received_bytes: int) -> UploadRow:
        async with begin(self._pool) as tx:
            return await actions.set_received(tx, upload_id, received_bytes)


def _part(upload: UploadRow, body: Body) -> _Part:
    """Which bytes the request says it has. Raises ValidationError, UnsupportedMediaType."""
    if body.content_type != upload.content_type:
        raise UnsupportedMediaType(
            f"This upload was announced as {upload.content_type}.",
            hint=f"Send Content-Type: {upload.content_type}.",
            details={"allowed": [upload.content_type]},
        )
    if body.content_range is None:
        part = _Part(start=0, end=upload.size_bytes, is_whole=True)
    else:
        found = _RANGE.fullmatch(body.content_range.strip())
        start, last, size = map(int, found.groups()) if found else (0, 0, 0)
        if not start <= last < size:
            raise ValidationError.one("Content-Range", "Must be bytes START-END/SIZE")
        if size != upload.size_bytes:
            raise ValidationError.one(
                "sizeBytes", f"{upload.size_bytes} bytes were announced, Content-Range has {size}"
            )
        part = _Part(start=start, end=last + 1, is_whole=False)
    if body.content_length not in (None, part.end - part.start):
        raise ValidationError.one("sizeBytes", f"The body must have {part.end - part.start} bytes")
    return part


async def _pieces(part: _Part, body: Body) -> AsyncIterator[bytes]:
    """The body in pieces that are worth a write; all that came also before a ClientGone or TimeoutError."""
    waiting, left = bytearray(), part.end - part.start
    chunks = aiter(body.chunks)
    stopped: Exception | None = None
    while stopped is None:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except (ClientGone, TimeoutError) as error:
            stopped = error
            break
        left -= len(chunk)
        if left < 0:
            raise ValidationError.one("sizeBytes", f"The body has more than {part.end - part.start} bytes")
        waiting += chunk
        if len(waiting) >= _BUFFERED:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)
    if stopped is not None:
        raise stopped


async def _require_same(file: UploadFile, row: UploadRow, part: _Part, body: Body) -> None:
    """Raises NotTheNextBytes when these are not what the complete upload has there."""
    at = part.start
    async for piece in _pieces(part, body):
        if await file.read(at, len(piece)) != piece:
            raise NotTheNextBytes("This upload is complete, with other bytes.", details=_received(row))
        at += len(piece)


def _gap(row: UploadRow) -> NotTheNextBytes:
    return NotTheNextBytes(f"The next byte is {row.received_bytes}.", details=_received(row))


def _received(row: UploadRow) -> dict[str, int]:
    return {"receivedBytes": row.received_bytes}
