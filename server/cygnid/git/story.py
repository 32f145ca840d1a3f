"""What a push brings about, told while it happens: the deployment's log, its phases with their seconds, the URL."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from cygnid.core.db import read
from cygnid.core.http import Services
from cygnid.resources.deployments import queries
from cygnid.resources.deployments.pushes import Outcome
from cygnid.resources.deployments.queries import DeploymentRow
from cygnid.resources.deployments.schemas import ENDS, DeploymentEvents, DeploymentStep, PushSource, StepName
from cygnid.resources.logs import queries as logs
from cygnid.resources.logs.lines import first_id
from cygnid.resources.logs.store import wake_of
from cygnid.resources.projects.queries import ProjectRow

PHASES: dict[str, tuple[StepName, ...]] = {
    "Build": ("source", "build"),
    "Release": ("release",),
    "Live": ("start", "health", "switch"),
}
"""As the command line tells them."""
_OVER = ("success", "failed", "skipped", "canceled")
_PAGE = 500
_LOOK_SECONDS = 5.0
"""How late a lost wake-up is made up for."""
_MOST_TOLD = 20
"""Of the refs of one push."""


Say = Callable[..., Awaitable[None]]
"""Takes lines. Raises OSError when nobody listens any more."""


async def tell(services: Services, project: ProjectRow, outcomes: Sequence[Outcome], say: Say) -> None:
    """To the end of every deployment that was made, one after the other, or until the platform stops."""
    for outcome in outcomes[:_MOST_TOLD]:
        name = _short(outcome.update.name)
        if outcome.why is not None:
            await say(f"{name}: {outcome.why}")
        if outcome.why is not None and "no environment follows" in outcome.why:
            await say(*_advice(project, name))
    if len(outcomes) > _MOST_TOLD:
        await say(f"and {len(outcomes) - _MOST_TOLD} more.")
    for outcome in outcomes:
        if outcome.deployment is not None:
            await say("", f"{_short(outcome.update.name)} → {project.name} · {outcome.environment}")
            if not await _Story(services, project, outcome.deployment, say).tell():
                return


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/")


def _advice(project: ProjectRow, branch: str) -> list[str]:
    return [
        f"  Deploy it:  git push <remote> {branch}:{project.branch}",
        f"  Follow it:  cygni api PATCH /v1/projects/{project.name}/environments/production -f branch={branch}",
    ]


class _Story:
    def __init__(self, services: Services, project: ProjectRow, row: DeploymentRow, say: Say) -> None:
        self._services, self._project, self._row, self._say = services, project, row, say
        self._told: set[str] = set()
        self._waiting = False

    async def tell(self) -> bool:
        """False: the platform stops before its end."""
        row, first = self._row, first_id(0)
        conditions = [logs.of_project(row.project_id, row.environment), logs.of_deployment(row.id)]
        names = [wake_of(row.project_id), *DeploymentEvents]
        stopping = asyncio.create_task(self._services.stopping.wait())
        try:
            with self._services.wakeups.subscribe(names) as woken:
                while not stopping.done():
                    woken.clear()
                    async with read(self._services.pool) as reader:
                        row = await queries.deployment(reader, self._row.id) or row
                        complete = await logs.is_read(reader, row.id)
                        head = await logs.head(reader)
                        lines = await logs.lines_between(reader, conditions, first, head, _PAGE)
                    await self._say(*(f"  {line.message}" for line in lines))
                    if len(lines) == _PAGE:
                        first = f"{lines[-1].id}0"
                        continue
                    first = max(first, head)
                    await self._tell_waiting(row)
                    if complete:  # else lines of a phase that is over may still come
                        await self._tell_phases(row)
                    if complete and row.status in ENDS:
                        await self._tell_end(row)
                        return True
                    looking = asyncio.create_task(woken.wait())
                    await asyncio.wait({looking, stopping}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    looking.cancel()
        finally:
            stopping.cancel()
        await self._say("The platform is restarted. The deployment goes on:", f"  cygni deployments watch {row.id}")
        return False

    async def _tell_waiting(self, row: DeploymentRow) -> None:
        if row.status == "queued" and row.blocked_by_id is not None and not self._waiting:
            self._waiting = True
            await self._say(f"Waiting: {row.environment} is held by {row.blocked_by_id}.")

    async def _tell_phases(self, row: DeploymentRow) -> None:
        for phase, names in PHASES.items():
            steps = [step for step in row.steps if step.name in names]
            if phase not in self._told and all(step.status in _OVER for step in steps):
                self._told.add(phase)
                await self._say(_phase(phase, steps))

    async def _tell_end(self, row: DeploymentRow) -> None:
        if row.status == "success":
            await self._say(row.url or "Live. It has no web process, so it has no URL.")
        elif row.failure is not None:
            failure = row.failure
            await self._say(
                f"Not deployed: {failure.message}",
                f"  why: {failure.code}, in the step {failure.step} of {row.id}",
                f"  fix: {failure.hint}",
                "What was pushed is stored; what was live before still is.",
            )
        elif row.steps[0].status == "success" and row.steps[1].status == "skipped":
            branch = row.source.branch if isinstance(row.source, PushSource) else None
            await self._say(
                f"{row.steps[1].message}. What was pushed is stored.",
                f"  Build it all the same:  cygni deploy --branch {branch} --project {self._project.name}",
            )
        else:
            why = "a newer deployment took its place" if row.status == "superseded" else "somebody canceled it"
            await self._say(f"Not deployed: {why}. What was pushed is stored.")


def _phase(name: str, steps: Sequence[DeploymentStep]) -> str:
    took = f"{sum(step.duration_ms or 0 for step in steps) / 1000:.1f} s"
    if broken := next((step for step in steps if step.status == "failed"), None):
        return f"✗ {name:<8} {took:>8}  {broken.name}"
    if steps[-1].status in ("skipped", "canceled"):
        return f"- {name:<8} {steps[-1].status}"
    messages = [step.message for step in steps if step.message]
    return f"✓ {name:<8} {took:>8}  {messages[-1] if messages else ''}".rstrip()
