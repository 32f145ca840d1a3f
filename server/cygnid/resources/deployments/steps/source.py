"""Source: the upload becomes a tree."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from cygnid.core.db import read
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.uploads import queries as uploads
from cygnid.source.base import ArchiveSpec, SourceInvalid, SourceUnavailable, Tree


@dataclass(frozen=True, kw_only=True)
class Fetched:
    tree: Tree
    message: str


async def fetch_source(attempt: Attempt) -> Fetched:
    """Raises StepFailed."""
    assert attempt.row.upload_id is not None
    async with read(attempt.backends.pool) as reader:
        upload = await uploads.complete_upload(reader, attempt.row.upload_id)
    if upload is None:
        raise StepFailed("source_unavailable", "The upload is gone.", hint="Upload the source again.")
    path = uploads.path(attempt.backends.settings, upload.id)
    spec = ArchiveSpec(path=path, content_type=upload.content_type, sha256=upload.sha256)
    into = folder(attempt)
    into.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    try:
        tree = await attempt.backends.source.fetch(spec, into)
    except SourceInvalid as error:
        raise StepFailed(
            "source_invalid",
            error.message,
            hint=error.hint or "Pack the folder again with plain files and folders only.",
        ) from error
    except SourceUnavailable as error:
        raise StepFailed("source_unavailable", str(error), hint="Try again: cygni deploy.") from error
    message = f"{tree.files} files, {_size(tree.size_bytes)}"
    attempt.say("source", message)
    return Fetched(tree=tree, message=message)


async def remove_trees(attempt: Attempt) -> None:
    """What this attempt and earlier ones have unpacked."""
    for number in range(1, attempt.claim.attempt + 1):
        tree = folder(attempt).with_name(f"{attempt.row.id}.{number}")
        if tree.exists():
            await asyncio.to_thread(shutil.rmtree, tree, ignore_errors=True)


def folder(attempt: Attempt) -> Path:
    return attempt.backends.settings.home / "sources" / attempt.name


def _size(size: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
