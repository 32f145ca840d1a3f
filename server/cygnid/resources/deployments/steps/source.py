"""Source: the upload, or the commit, becomes a tree."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cygnid.core.db import Read, Tx, read
from cygnid.core.schemas import plain
from cygnid.resources.connections import actions as connections
from cygnid.resources.deployments.schemas import Commit, GitSource, PushSource
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.deployments.steps.remote import local_repository, remote
from cygnid.resources.projects import actions as projects
from cygnid.resources.uploads import queries as uploads
from cygnid.source.base import ArchiveSpec, GitRepository, GitSpec, SourceInvalid, SourceUnavailable, Tree


@dataclass(frozen=True, kw_only=True)
class Fetched:
    tree: Tree
    message: str


async def fetch_source(attempt: Attempt) -> Fetched:
    """Raises StepFailed."""
    async with read(attempt.backends.pool) as reader:
        spec = await _spec(reader, attempt)
    if isinstance(spec, GitSpec):
        attempt.say("source", f"fetching {_what(spec)}")
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
        hint = error.hint or "Try again: cygni deploy."
        raise StepFailed("source_unavailable", str(error), hint=hint) from error
    message = f"{tree.files} files, {_size(tree.size_bytes)}"
    if tree.commit is not None:
        title = tree.commit.message.partition("\n")[0]
        message = f"commit {tree.commit.sha[:12]}, {message}"
        attempt.say("source", f"{tree.commit.sha} {title}", *tree.notes)
    attempt.say("source", message)
    return Fetched(tree=tree, message=message)


async def keep_commit(tx: Tx, attempt: Attempt, tree: Tree) -> None:
    """What is built from now on, whatever happens to its branch. A head that was fetched is one that was taken note
    of."""
    found, row = tree.commit, attempt.row
    if found is None:
        return
    commit = Commit(
        sha=found.sha,
        message=found.message,
        author_name=found.author_name,
        author_email=found.author_email,
        committed_at=found.committed_at,
    )
    await tx.execute(
        "UPDATE deployments SET commit_sha = $2, commit = $3 WHERE id = $1", row.id, found.sha, plain(commit)
    )
    assert isinstance(row.source, GitSource | PushSource)
    is_head = row.commit_sha is None and row.source.tag is None
    if is_head and row.source.branch == attempt.project.followed(attempt.environment):
        await projects.set_followed(tx, attempt.environment.id, found.sha)
    attempt.row = msgspec.structs.replace(row, commit_sha=found.sha, commit=commit)
    source = attempt.project.source
    if tree.known_hosts and source is not None and source.connection_id is not None:
        await connections.keep_known_hosts(tx, source.connection_id, tree.known_hosts)


async def _spec(reader: Read, attempt: Attempt) -> ArchiveSpec | GitSpec:
    row, settings = attempt.row, attempt.backends.settings
    if isinstance(row.source, GitSource | PushSource):
        repository: GitRepository = local_repository(settings, attempt.project.id)
        if isinstance(row.source, GitSource):
            repository = await remote(reader, attempt.backends.secrets, attempt.project, row.source.repository_url)
        return GitSpec(repository=repository, branch=row.source.branch, tag=row.source.tag, commit=row.commit_sha)
    assert row.upload_id is not None
    upload = await uploads.complete_upload(reader, row.upload_id)
    if upload is None:
        raise StepFailed("source_unavailable", "The upload is gone.", hint="Upload the source again.")
    path = uploads.path(settings, upload.id)
    return ArchiveSpec(path=path, content_type=upload.content_type, sha256=upload.sha256)


def _what(spec: GitSpec) -> str:
    if spec.commit is not None:
        return f"commit {spec.commit[:12]}"
    return f"branch {spec.branch}" if spec.tag is None else f"tag {spec.tag}"


async def remove_trees(attempt: Attempt) -> None:
    """What this attempt and earlier ones have unpacked."""
    for number in range(1, attempt.claim.attempt + 1):
        tree = folder(attempt, number)
        if tree.exists():
            await asyncio.to_thread(shutil.rmtree, tree, ignore_errors=True)


def folder(attempt: Attempt, number: int | None = None) -> Path:
    """Where this attempt, or another, unpacks."""
    return attempt.backends.settings.home / "sources" / f"{attempt.row.id}.{number or attempt.claim.attempt}"


def _size(size: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
