"""Release: the release command, at most once; and what everything that runs this release is given."""

from pathlib import Path

import msgspec

from cygnid.build.base import Plan
from cygnid.core.db import Tx, read
from cygnid.resources.deployments.queries import ArtifactRow
from cygnid.resources.deployments.schemas import Type
from cygnid.resources.deployments.steps.attempt import Attempt, StepFailed
from cygnid.resources.env import queries as env
from cygnid.resources.instances import actions as instances
from cygnid.resources.instances.schemas import ReleaseSpec
from cygnid.resources.instances.specs import platform_env
from cygnid.resources.projects import queries as projects
from cygnid.runtime.base import CommandSpec, StartFailed

_CPU, _MEMORY_MB = 1.0, 1024
_NOT_AGAIN: frozenset[Type] = frozenset({"rollback", "restart", "configChange"})
"""What takes a release that was live: its command has run, and running that of an older one again may undo the steps
of a newer one."""


def command_of(attempt: Attempt, artifact: ArtifactRow) -> str | None:
    """None: there is none, or it is not run."""
    if artifact.kind == "static" or attempt.row.type in _NOT_AGAIN:
        return None
    return _command(attempt, artifact)


def why_no_command(attempt: Attempt, artifact: ArtifactRow) -> str | None:
    """For people; None: there is none, which nobody needs to be told."""
    if _command(attempt, artifact) is None:
        return None
    return "A static site runs nothing" if artifact.kind == "static" else "Not run again for this release"


def _command(attempt: Attempt, artifact: ArtifactRow) -> str | None:
    plan = artifact.decided()
    command = attempt.project.build.release_command or plan.release_command
    if plan.first_command is None or attempt.environment.current_deployment_id is not None:
        return command
    return plan.first_command if command is None else f"( {command} ) && ( {plan.first_command} )"


async def release_spec(tx: Tx, attempt: Attempt, artifact: ArtifactRow) -> ReleaseSpec:
    plan = artifact.decided()
    specs = await instances.process_specs(tx, attempt.project, attempt.environment, plan.processes)
    return ReleaseSpec(
        deployment_id=attempt.row.id,
        project_id=attempt.project.id,
        environment_id=attempt.environment.id,
        environment=attempt.environment.name,
        kind=artifact.kind,
        path=artifact.path,
        root=_root(plan),
        mounts=artifact.mounts,
        env={**artifact.env, **plan.env},
        fallback=plan.fallback,
        processes=[] if artifact.kind == "static" else specs,
    )


async def begin_command(tx: Tx, attempt: Attempt) -> None:
    """From here on the command counts as run, whatever becomes of us."""
    await attempt.open_log(tx, "release")
    await tx.execute(
        "UPDATE deployments SET released_attempt = $2 WHERE id = $1", attempt.row.id, attempt.claim.attempt
    )
    attempt.row = msgspec.structs.replace(attempt.row, released_attempt=attempt.claim.attempt)


async def run_command(attempt: Attempt, artifact: ArtifactRow, command: str) -> None:
    """Raises StepFailed."""
    backends, log, plan = attempt.backends, attempt.log("release"), artifact.decided()
    async with read(backends.pool) as reader:
        pinned = await env.pinned(reader, backends.secrets, attempt.row.id, "runtime")
        uid = backends.settings.uid(await projects.uid_number(reader, attempt.environment.id))
    attempt.say("release", command)
    spec = CommandSpec(
        id=f"{attempt.row.id}.release.{attempt.claim.attempt}",
        environment_id=attempt.environment.id,
        release=Path(artifact.path),
        root=_root(plan),
        command=command,
        env={
            **artifact.env,
            **plan.env,
            **{variable.key: variable.value for variable in pinned if variable.type != "file"},
            **platform_env(backends.settings, attempt.project.name, attempt.environment.name, attempt.row.id),
        },
        files={variable.key: variable.value for variable in pinned if variable.type == "file"},
        mounts=tuple((Path(source), target) for source, target in artifact.mounts),
        uid=uid,
        cpu=_CPU,
        memory_mb=_MEMORY_MB,
        stdout=log,
        stderr=log,
    )
    seconds = backends.settings.release_timeout_seconds
    try:
        result = await backends.runtime.run(spec, timeout_seconds=seconds)
    except StartFailed as error:
        raise StepFailed("release_command_failed", error.message, hint="Check the release command.") from error
    if result.timed_out:
        raise StepFailed(
            "step_timeout",
            f"The release command took longer than {seconds:g} seconds.",
            hint="Make it shorter, or raise CYGNI_RELEASE_TIMEOUT_SECONDS.",
        )
    if result.exit.out_of_memory:
        raise StepFailed(
            "release_command_failed",
            f"The release command used more than {_MEMORY_MB} MB of memory and was ended.",
            hint="Let it do its work in smaller parts.",
        )
    if result.exit.code != 0:
        how = f"code {result.exit.code}" if result.exit.signal is None else f"{result.exit.signal}"
        raise StepFailed(
            "release_command_failed",
            f"The release command ended with {how}: {command}",
            hint="Nothing was switched. Its last lines say why; run it locally with the same variables.",
        )


def _root(plan: Plan) -> str:
    return "" if str(plan.root) == "." else str(plan.root)
