"""One attempt at a deployment, as its steps see it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cygnid.backends import Backends
from cygnid.core import clock
from cygnid.core.db import Tx, begin, read
from cygnid.core.work import Claim
from cygnid.resources.deployments import progress
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.deployments.schemas import STEPS, DeploymentFailure, DeploymentStep, FailureCode, Status, StepName
from cygnid.resources.env import queries as env
from cygnid.resources.logs import actions as logs
from cygnid.resources.logs.lines import excerpt
from cygnid.resources.projects.queries import EnvironmentRow, ProjectRow


class StepFailed(Exception):
    """The deployment ends `failed`: what, why, and what to do next."""

    def __init__(self, code: FailureCode, message: str, *, hint: str, files: Sequence[Path] = ()) -> None:
        """`files`: where the evidence is, beside the step's own log."""
        super().__init__(message)
        self.code: FailureCode = code
        self.message, self.hint, self.files = message, hint, tuple(files)


@dataclass
class Attempt:
    """Steps read, then call out with no transaction open, then write behind the fence of this attempt."""

    backends: Backends
    claim: Claim
    row: DeploymentRow
    project: ProjectRow
    environment: EnvironmentRow

    @property
    def name(self) -> str:
        """Names what this attempt leaves on the machine."""
        return f"{self.row.id}.{self.claim.attempt}"

    @property
    def host(self) -> str:
        """What the app is asked for by."""
        url = self.backends.settings.url(self.project.name, self.environment.name)
        return url.partition("://")[2].partition(":")[0].partition("/")[0]

    def log(self, step: StepName) -> Path:
        return self.backends.settings.home / "logs" / "deployments" / f"{self.name}.{step}.log"

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Tx]:
        """A transaction that belongs to this attempt. Raises LeaseLost when another has the row."""
        async with begin(self.backends.pool) as tx:
            await progress.lock(tx, self.environment.id)
            await self.claim.fence(tx)
            yield tx

    def step(self, name: StepName) -> DeploymentStep:
        return self.row.steps[STEPS.index(name)]

    def started(self, *names: StepName) -> list[DeploymentStep]:
        """The steps with these begun."""
        return [progress.started(step) if step.name in names else step for step in self.row.steps]

    def ended(
        self, *names: StepName, status: str = "success", message: str | None = None, then: StepName | None = None
    ) -> list[DeploymentStep]:
        """The steps with these over, and the next begun."""
        now = clock.now()
        return [
            progress.finished(step, status, now, message)
            if step.name in names
            else progress.started(step)
            if step.name == then
            else step
            for step in self.row.steps
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
        for step in steps or STEPS:
            await logs.close_stream(tx, self.log(step))

    def say(self, step: StepName, *lines: str) -> None:
        """What the platform itself says in a step's log."""
        with self.log(step).open("a") as file:
            file.writelines(f"--> {line}\n" for line in lines)

    async def failure(self, failed: StepFailed, step: StepName) -> DeploymentFailure:
        """For people, with the last lines of the step, masked."""
        async with read(self.backends.pool) as reader:
            secrets = await env.secret_values(reader, self.backends.secrets, self.project.id)
        lines = await asyncio.to_thread(excerpt, [self.log(step), *failed.files], secrets)
        return DeploymentFailure(
            code=failed.code,
            step=step,
            message=failed.message,
            hint=failed.hint,
            log_excerpt=[line for line in lines if not line.startswith("--> failed: ")] or lines,
            doc_url=f"/docs/api/reference#{failed.code}",
        )
