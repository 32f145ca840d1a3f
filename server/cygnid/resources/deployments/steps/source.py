"""Source: the upload, or the commit, becomes a tree."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cygnid.build.detect import FolderFiles, untouched
from cygnid.core.db import Read, Tx, read
from cygnid.core.schemas import plain
from cygnid.resources.connections import actions as connections
from cygnid.resources.deployments import queries
from cygnid.resources.deployments.schemas import Commit, GitSource, PushSource
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.deployments.steps.build import build_settings
from cygnid.resources.deployments.steps.remote import local_repository, remote
from cygnid.resources.projects import actions as projects
from cygnid.resources.uploads import queries as uploads
from cygnid.settings import Settings
from cygnid.source.base import ArchiveSpec, GitRepository, GitSpec, SourceInvalid, SourceUnavailable, Tree


@dataclass(frozen=True, kw_only=True)
class Fetched:
    tree: Tree
    message: str
    since: str | None
    """The commit that it was compared with."""


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
    return Fetched(tree=tree, message=message, since=spec.since if isinstance(spec, GitSpec) else None)


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
        return GitSpec(
            repository=repository,
            branch=row.source.branch,
            tag=row.source.tag,
            commit=row.commit_sha,
            since=await _since(reader, attempt),
        )
    assert row.upload_id is not None
    upload = await uploads.complete_upload(reader, row.upload_id)
    if upload is None:
        raise StepFailed("source_unavailable", "The upload is gone.", hint="Upload the source again.")
    path = uploads.path(settings, upload.id)
    return ArchiveSpec(path=path, content_type=upload.content_type, sha256=upload.sha256)


async def _since(reader: Read, attempt: Attempt) -> str | None:
    """The commit that is live, where a new one may not be worth a build: nobody asked for this deployment, and paths
    are watched. Where only its own cygni.toml begins to watch, that file has changed, which is always built."""
    row, current = attempt.row, attempt.environment.current_deployment_id
    if row.trigger != "git" or current is None:
        return None
    live = await queries.deployment(reader, current)
    origin = None if live is None else await queries.origin(reader, live)
    if live is None or live.digest is None or origin is None:
        return None
    artifact = await queries.artifact(reader, row.project_id, live.digest)
    said = attempt.project.build.watch_paths or (artifact is not None and artifact.decided().watch_paths)
    return origin.commit_sha if said else None


async def not_worth_building(attempt: Attempt, fetched: Fetched) -> str | None:
    """Why, in one sentence for people; None: it is to be built. Compared are the trees, whatever became of the branch
    in between."""
    tree, settings = fetched.tree, build_settings(attempt.project)
    if tree.changed is None or fetched.since is None:
        return None
    watched = await asyncio.to_thread(untouched, FolderFiles(tree.path), settings, tree.changed)
    if watched is None:
        return None
    return f"Not built: nothing in {watched} has changed since {fetched.since[:12]}, which is live"


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
    return trees(attempt.backends.settings) / f"{attempt.row.id}.{number or attempt.claim.attempt}"


def trees(settings: Settings) -> Path:
    """Where all attempts unpack."""
    return settings.home / "sources"


def _size(size: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
