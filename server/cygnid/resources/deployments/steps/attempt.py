"""One attempt at a deployment, as its steps see it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import msgspec

from cygnid.backends import Backends
from cygnid.core.db import Tx, begin, read
from cygnid.core.work import Claim, LeaseLost
from cygnid.resources.deployments import progress, queries
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.deployments.schemas import (
    STEPS,
    DeploymentFailure,
    DeploymentStep,
    FailureCode,
    Status,
    StepName,
    StepStatus,
)
from cygnid.resources.deployments.steps.advice import reason, telling
from cygnid.resources.env import queries as env
from cygnid.resources.logs import actions as logs
from cygnid.resources.logs.lines import Mask, excerpt
from cygnid.resources.projects import queries as projects
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow

LOGGED: tuple[StepName, ...] = ("source", "build", "release")
"""The steps that have a log of their own; what instances print is theirs."""
_TELLING: tuple[FailureCode, ...] = ("build_error", "start_crash", "release_command_failed", "health_check_failed")
"""Failures whose reason is in what programs print."""
_LOOKED_AT = 120
"""Last lines in which the reason is looked for: npm prints a hundred lines of usage after it."""


class StepFailed(Exception):
    """The deployment ends `failed`: what, why, and what to do next."""

    def __init__(self, code: FailureCode, message: str, *, hint: str, files: Sequence[Path] = ()) -> None:
        """`files`: where the evidence is, beside the step's own log."""
        super().__init__(message)
        self.code: FailureCode = code
        self.message, self.hint, self.files = message, hint, tuple(files)


class Halted(Exception):
    """The deployment ends `canceled`; the message is for people."""


@dataclass
class Attempt:
    """Steps read, then call out with no transaction open, then write behind the fence of this attempt."""

    backends: Backends
    claim: Claim
    row: DeploymentRow
    project: ProjectRow
    environment: EnvironmentRow
    taken_over: bool
    """An earlier attempt has begun the work and did not live to end it."""

    @property
    def name(self) -> str:
        """Names what this attempt leaves on the machine."""
        return f"{self.row.id}.{self.claim.attempt}"

    @property
    def url(self) -> SplitResult:
        """Where the environment answers."""
        return urlsplit(self.backends.settings.url(self.project.name, self.environment.name))

    def log(self, step: StepName, attempt: int | None = None) -> Path:
        """What a step says; of this attempt, or another."""
        name = f"{self.row.id}.{attempt or self.claim.attempt}.{step}.log"
        return self.backends.settings.home / "logs" / "deployments" / name

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Tx]:
        """A transaction that belongs to this attempt; row, project and environment are as they are now.
        Raises LeaseLost when another has the row."""
        async with begin(self.backends.pool) as tx:
            # the environment first, as everybody who wants both
            environment = await progress.lock(tx, self.environment.id)
            await self.claim.fence(tx)
            row = await queries.deployment(tx, self.row.id)
            project = await projects.project(tx, self.project.id)
            if environment is None or row is None or project is None:
                raise LeaseLost
            self.row, self.project, self.environment = row, project, environment
            yield tx

    def halted(self) -> str | None:
        """Why it ends `canceled`: somebody has asked for that, or nothing may run there any more. It can until the
        transaction that switches."""
        if self.row.cancel_requested_at is not None:
            return "Canceled"
        if self.project.deleted_at is not None:
            return "Canceled: the project was deleted"
        if self.environment.deleted_at is not None:
            return "Canceled: the environment was deleted"
        return None if self.project.paused_at is None else "Canceled: the project was paused"

    def require_wanted(self) -> None:
        """Raises Halted."""
        if (why := self.halted()) is not None:
            raise Halted(why)

    def step(self, name: StepName) -> DeploymentStep:
        return self.row.steps[STEPS.index(name)]

    def steps(self, **statuses: StepStatus) -> list[DeploymentStep]:
        """The steps with these in another status from now on."""
        return [progress.stepped(step, statuses.get(step.name)) for step in self.row.steps]

    def failed(self, name: StepName) -> list[DeploymentStep]:
        return [progress.stepped(step, "failed" if step.name == name else None) for step in self.row.steps]

    def told(
        self, name: StepName, message: str | None, steps: list[DeploymentStep] | None = None
    ) -> list[DeploymentStep]:
        """The steps with what one has to say."""
        return [
            msgspec.structs.replace(step, message=message) if step.name == name else step
            for step in steps or self.row.steps
        ]

    async def move(self, tx: Tx, status: Status, message: str, *, steps: list[DeploymentStep], step: StepName) -> None:
        self.row = await progress.move(tx, self.row, status, message, steps=steps, step=step)

    async def store_steps(self, tx: Tx, steps: list[DeploymentStep]) -> None:
        self.row = await progress.store_steps(tx, self.row, steps)

    async def open_log(self, tx: Tx, step: StepName) -> Path:
        """The step's own log; its lines are the deployment's."""
        path = self.log(step)
        path.parent.mkdir(parents=True, exist_ok=True)
        await logs.open_stream(
            tx,
            logs.LogStream(
                path=path,
                source="build",
                stream="stdout",
                project_id=self.project.id,
                environment=self.environment.name,
                environment_id=self.environment.id,
                deployment_id=self.row.id,
                step=step,
            ),
        )
        return path

    async def close_logs(self, tx: Tx, *steps: StepName) -> None:
        """Nobody writes these any more. None named: all, of this and of earlier attempts."""
        numbers = [self.claim.attempt] if steps else range(1, self.claim.attempt + 1)
        for number in numbers:
            for step in steps or LOGGED:
                await logs.close_stream(tx, self.log(step, number))

    def say(self, step: StepName, *lines: str) -> None:
        """What the platform itself says in a step's log."""
        with self.log(step).open("a") as file:
            file.writelines(f"--> {line}\n" for line in lines)

    async def failure(self, failed: StepFailed, step: StepName) -> DeploymentFailure:
        """For people, with the last lines of the step, masked."""
        async with read(self.backends.pool) as reader:
            secrets = await env.secret_values(reader, self.backends.secrets, self.project.id)
        lines = await asyncio.to_thread(excerpt, [self.log(step), *failed.files], secrets, _LOOKED_AT)
        mask = Mask(secrets)
        index, advised = (reason(lines) if failed.code in _TELLING else None) or (None, None)
        hint = advised or failed.hint
        return DeploymentFailure(
            code=failed.code,
            step=step,
            message=mask(failed.message),
            hint=mask(hint),
            log_excerpt=list(telling(lines, index)),
            doc_url=f"/docs/api/reference#{failed.code}",
        )
