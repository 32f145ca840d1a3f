"""Build: the tree becomes an artifact."""

import asyncio

import msgspec

from cygnid.build.base import Artifact, BuildFailed, BuildRequest, BuildSettings
from cygnid.core.db import Tx, read
from cygnid.core.schemas import ENCODER
from cygnid.resources.deployments import queries, queue
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.env import queries as env
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.queries import ProjectRow
from cygnid.source.base import Tree

_SEALING_SECONDS = 120
"""What the builder has beside its commands, which it ends itself and names: copying, and sealing the result."""


async def build_artifact(attempt: Attempt, tree: Tree) -> Artifact:
    """Raises StepFailed."""
    backends, row, project = attempt.backends, attempt.row, attempt.project
    async with read(backends.pool) as reader:
        pinned = await env.pinned(reader, backends.secrets, row.id, "build")
        uid = backends.settings.uid(await projects.uid_number(reader, project.id))
    values = {variable.key: variable.value for variable in pinned}
    digest = backends.secrets.digest(f"build env {project.id}", ENCODER.encode(sorted(values.items())))
    request = BuildRequest(
        id=attempt.name,
        project_id=project.id,
        environment_id=row.environment_id,
        tree=tree.path,
        tree_digest=tree.digest,
        settings=build_settings(project),
        framework=project.framework,
        env=values,
        env_digest=digest.hex(),
        secrets={variable.key: variable.value for variable in pinned if variable.type != "plain"},
        uid=uid,
        nonce=row.nonce,
        clear_cache=row.nonce != "",
        log=attempt.log("build"),
    )
    try:
        async with asyncio.timeout(backends.settings.build_timeout_seconds + _SEALING_SECONDS):
            return await backends.builder.build(request)
    except BuildFailed as error:
        raise StepFailed(error.code, error.message, hint=error.hint) from error
    except TimeoutError as error:
        minutes = backends.settings.build_timeout_seconds / 60
        raise StepFailed(
            "build_timeout",
            f"The build took longer than {minutes:g} minutes.",
            hint="Look at the last lines of its log for what it was doing; CYGNI_BUILD_TIMEOUT_SECONDS is the limit.",
        ) from error


def build_settings(project: ProjectRow) -> BuildSettings:
    """As a builder takes them."""
    said = project.build
    return BuildSettings(
        root_dir=said.root_dir,
        install_command=said.install_command,
        build_command=said.build_command,
        output_dir=said.output_dir,
        release_command=said.release_command,
        watch_paths=tuple(said.watch_paths),
    )


async def keep_artifact(tx: Tx, attempt: Attempt, artifact: Artifact) -> None:
    """Known from now on, so that it can be released again; one that was pruned is there again."""
    await tx.execute(
        """INSERT INTO artifacts (project_id, digest, kind, path, size_bytes, plan, mounts, env, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
           ON CONFLICT (project_id, digest) DO UPDATE SET path = excluded.path, size_bytes = excluded.size_bytes,
               plan = excluded.plan, mounts = excluded.mounts, env = excluded.env, pruned_at = NULL,
               removed_at = NULL""",
        attempt.project.id,
        artifact.digest,
        artifact.kind,
        str(artifact.path),
        artifact.size_bytes,
        queries.plan_to_json(artifact.plan),
        [[str(source), target] for source, target in artifact.mounts],
        dict(artifact.env),
    )
    await tx.execute(
        "UPDATE deployments SET digest = $2, built_at = now() WHERE id = $1", attempt.row.id, artifact.digest
    )
    if attempt.row.started_at is not None:
        await queue.add_build(tx, attempt.row.team_id, attempt.row.started_at)
    attempt.row = msgspec.structs.replace(attempt.row, digest=artifact.digest)


def told(artifact: Artifact) -> str:
    """One line about it, for people."""
    plan = artifact.plan
    what = plan.language if plan.framework is None else f"{plan.language}, {plan.framework}"
    return f"{what}: nothing it is made of has changed, built before" if artifact.reused else f"{what}: built"
