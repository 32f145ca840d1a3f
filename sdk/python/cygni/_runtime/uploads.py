"""A resumable upload, decided once for both clients.

As `retry.attempts`, this is a generator: it yields a request or a Pause, is sent the response or the error, and
returns the completed Upload.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .archive import pack
from .behavior import MAX_RETRIES, UPLOAD_CONTENT_TYPE, UPLOAD_PART_BYTES
from .call import segment
from .errors import APIConnectionError, APIStatusError, ConflictError, CygniError, InternalServerError
from .response import Response
from .retry import Pause, backoff

# Small enough to hold in memory and to lose on a broken line, large enough that its round trip costs nothing.
PART_BYTES = UPLOAD_PART_BYTES

OnProgress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class UploadRequest:
    method: str
    path: str
    options: dict[str, Any]


UploadSteps = Generator[UploadRequest | Pause, Any, Response]


def upload_directory(directory: Path, on_progress: OnProgress) -> UploadSteps:
    import tempfile  # noqa: PLC0415 - most programs never pack anything

    with tempfile.TemporaryFile() as file:
        pack(directory, file)
        return (yield from _upload(file, UPLOAD_CONTENT_TYPE, on_progress))


def upload_file(path: Path, content_type: str, on_progress: OnProgress) -> UploadSteps:
    with path.open("rb") as file:
        return (yield from _upload(file, content_type, on_progress))


def _upload(file: BinaryIO, content_type: str, on_progress: OnProgress) -> UploadSteps:
    digest = hashlib.sha256()
    file.seek(0)
    while part := file.read(PART_BYTES):
        digest.update(part)
    size = file.tell()
    body = {"sizeBytes": size, "sha256": digest.hexdigest(), "contentType": content_type}
    upload = yield from _ask(UploadRequest("POST", "/uploads", {"json": body}))
    path = f"/uploads/{segment(upload.data['id'])}"
    failures = 0
    while upload.data["status"] != "complete":
        received: int = upload.data["receivedBytes"]
        if on_progress:
            on_progress(received, size)
        outcome: Response | CygniError = yield _part(file, path, received, size, content_type)
        if isinstance(outcome, Response):
            failures = 0
            upload = outcome
            continue
        failures += 1
        if failures > MAX_RETRIES or not _may_go_on(outcome):
            raise outcome
        yield Pause(backoff(failures - 1))
        # Only the server knows how much of the part arrived.
        upload = yield from _ask(UploadRequest("GET", path, {}))
    if on_progress:
        on_progress(size, size)
    return upload


def _part(file: BinaryIO, path: str, start: int, size: int, content_type: str) -> UploadRequest:
    file.seek(start)
    content = file.read(PART_BYTES)
    headers = {"Content-Type": content_type, "Content-Range": f"bytes {start}-{start + len(content) - 1}/{size}"}
    # The same bytes again would leave a gap or overlap if some had arrived: what follows a failure is decided above.
    return UploadRequest("PUT", f"{path}/content", {"content": content, "headers": headers, "max_retries": 0})


def _may_go_on(error: CygniError) -> bool:
    if isinstance(error, ConflictError):
        return error.code == "invalid_state" and "receivedBytes" in error.details
    return isinstance(error, (APIConnectionError, InternalServerError)) or (
        isinstance(error, APIStatusError) and error.status in (408, 429)
    )


def _ask(request: UploadRequest) -> UploadSteps:
    outcome: Response | CygniError = yield request
    if isinstance(outcome, Response):
        return outcome
    raise outcome
