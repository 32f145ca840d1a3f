"""A deployment told while it happens: Build · Release · Live, each with its seconds, and the URL at the end."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import LET_GO, CliError
from .output import Result, ago, ahead, seconds, since

if TYPE_CHECKING:
    from cygni.types import Deployment, DeploymentFailure, DeploymentStep

    from .context import Context

PHASES = {"Build": ("source", "build"), "Release": ("release",), "Live": ("start", "health", "switch")}
ENDS = ("success", "failed", "canceled", "superseded")
STEP_ENDS = ("success", "failed", "skipped", "canceled")

# No stream tells of steps, and an app that comes up slowly says nothing for a while.
LOOK_SECONDS = 1.0


def follow(ctx: Context, deployment: Deployment) -> Result:
    """Watch a deployment to its end. Ctrl-C lets go of it and does not cancel it."""
    story = _Story(ctx, deployment)
    try:
        return story.tell()
    except KeyboardInterrupt:
        identity = story.deployment.id
        ctx.talk.say(f"Let go of {identity}: it goes on by itself.")
        after = [f"Watch it:  cygni deployments watch {identity}", f"Cancel it: cygni deployments cancel {identity}"]
        return Result(story.deployment, after=after, exit_code=LET_GO)


class _Story:
    def __init__(self, ctx: Context, deployment: Deployment) -> None:
        self._ctx = ctx
        self._request_id = deployment.last_response.request_id
        self._told: set[str] = set()
        self._waits: tuple[str | None, int | None] | None = None
        self._telling = threading.Lock()
        self._lines: list[str] = []
        self.deployment = deployment

    def tell(self) -> Result:
        if self.deployment.status not in ENDS:
            self._tell_waiting()
            with self._looking():
                self._tell_lines()
            self._refresh()
        self._tell_phases(PHASES)
        return self._ending()

    def _tell_waiting(self) -> None:
        """What it waits for, again when that has changed."""
        deployment = self.deployment
        if deployment.status == "awaitingApproval":
            self._tell_approvals(deployment)
            return
        holder, position = deployment.blocked_by_id, deployment.queue_position
        # one that nothing keeps waiting is said to start when it was made
        begins = deployment.estimated_start_at == deployment.created_at
        if deployment.status != "queued" or begins or self._waits == (holder, position):
            return
        self._waits = (holder, position)
        if holder:
            other = self._ctx.client.deployments.get(holder)
            since = ago(other.started_at or other.created_at)
            place = deployment.environment
            self._ctx.talk.say(f"Waiting: {place} is held by {holder}, {other.status}, since {since}.")
        elif position:
            builds = f"{position} build{'s' if position > 1 else ''} before this one"
            left = ahead(deployment.estimated_start_at)
            self._ctx.talk.say(f"Waiting: {builds}{left and f', about {left}'}.")

    def _tell_approvals(self, deployment: Deployment) -> None:
        count = len(deployment.approvals or ())
        if self._waits == (None, count):
            return
        self._waits = (None, count)
        self._ctx.talk.say(
            f"Waiting: {count} of {deployment.approvals_required} approvals. Somebody else who may, in "
            f"{deployment.environment}: cygni deployments approve {deployment.id}"
        )

    def _tell_lines(self) -> None:
        from cygni import PermissionDeniedError  # noqa: PLC0415 - `--help` needs no SDK

        from .client import events  # noqa: PLC0415

        phase: str | None = None
        try:
            deployments, identity = self._ctx.client.deployments, self.deployment.id
            for event in events(lambda seen: deployments.stream_logs(identity, last_event_id=seen)):
                line = event.data
                if event.event != "log":
                    continue
                # what the platform remarks of instances belongs to no step: they run, so the build is over
                own = next((name for name, steps in PHASES.items() if line.step in steps), phase)
                now = "Live" if line.source == "system" else own
                if now != phase and now is not None:
                    phase = now
                    self._refresh()
                    self._tell_phases(list(PHASES)[: list(PHASES).index(now)])
                self._lines.append(line.message or "")
                self._ctx.talk.log(self._lines[-1])
        except PermissionDeniedError:
            # a token that may deploy need not be one that may read logs
            self._ctx.talk.say("The log is not shown: this token may not read it (logs:read).")
            self._wait()

    def _wait(self) -> None:
        from cygni import PermissionDeniedError  # noqa: PLC0415

        moment = threading.Event()
        try:
            while self.deployment.status not in ENDS:
                moment.wait(LOOK_SECONDS)
                self._refresh()
        except PermissionDeniedError as error:
            raise CliError(
                f"{self.deployment.id} goes on, but this token may not see how it ends.",
                why=f"{error.code}: it lacks deployments:read.",
                fix="Give the token that scope too, or pass --detach.",
                code=error.code,
                request_id=error.request_id,
            ) from error

    @contextmanager
    def _looking(self) -> Generator[None]:
        """Meanwhile, tell phases that ended although no line said so."""
        over = threading.Event()
        looking = threading.Thread(target=self._look, args=(over,), daemon=True)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()  # the client is closed after this, which no request may be in the middle of

    def _look(self, over: threading.Event) -> None:
        from cygni import CygniError  # noqa: PLC0415

        while not over.wait(LOOK_SECONDS):
            # Lines are read a little later than they are written: those of a phase get one look's time to come first.
            ended = self._ended()
            try:
                self._refresh()
                self._tell_waiting()
            except CygniError:
                continue  # who reads the lines meets the same, and tells it
            if not over.is_set():
                self._tell_phases(ended)
                self._tell_running()

    def _tell_running(self) -> None:
        for phase, names in PHASES.items():
            for step in self.deployment.steps or ():
                if step.name in names and step.status == "running":
                    took = since(step.started_at)
                    self._ctx.talk.passing(f"… {phase:<8} {took:>8}  {step.message or step.name}")

    def _refresh(self) -> None:
        self.deployment = self._ctx.client.deployments.get(self.deployment.id)

    def _parts(self, phase: str) -> list[DeploymentStep]:
        return [step for step in self.deployment.steps or () if step.name in PHASES[phase]]

    def _ended(self) -> list[str]:
        parts = {phase: self._parts(phase) for phase in PHASES}
        return [phase for phase in PHASES if parts[phase] and all(one.status in STEP_ENDS for one in parts[phase])]

    def _tell_phases(self, phases: Iterable[str]) -> None:
        """Tell those of these phases that have ended, once each, in order."""
        with self._telling:
            for phase in (phase for phase in self._ended() if phase in phases and phase not in self._told):
                self._told.add(phase)
                self._tell_phase(phase, self._parts(phase))

    def _tell_phase(self, phase: str, parts: Sequence[DeploymentStep]) -> None:
        statuses = {part.status for part in parts}
        if statuses <= {"skipped", "canceled"}:
            self._ctx.talk.step("-", phase, " ".join(sorted(statuses)), "")
            return
        took = seconds(sum(part.duration_ms or 0 for part in parts))
        if broken := next((part for part in parts if part.status == "failed"), None):
            # why is told at the end
            self._ctx.talk.step("✗", phase, broken.name, took)
            return
        messages = [part.message for part in parts if part.message]
        self._ctx.talk.step("✓", phase, messages[-1] if messages else "", took)

    def _ending(self) -> Result:
        deployment = self.deployment
        if deployment.status == "success":
            if deployment.url is None:
                self._ctx.talk.say("Live. It has no web process, so it has no URL.")
            return Result(deployment, [deployment.url or deployment.id])
        failure = deployment.failure
        if failure is None:
            return Result(deployment, error=self._not_live())
        for line in self._untold(failure.log_excerpt or []):
            self._ctx.talk.log(line)
        return Result(deployment, error=failed(deployment.id, failure, self._request_id))

    def _untold(self, excerpt: list[str]) -> list[str]:
        """The lines of a failure, unless they were the last that the log told anyway; an excerpt has no empty lines."""
        told = [line for line in self._lines if line.strip()]
        return [] if excerpt == told[-len(excerpt) :] else excerpt

    def _not_live(self) -> CliError:
        status, identity = self.deployment.status, self.deployment.id
        why = {
            "superseded": "A newer deployment of this environment took its place.",
            "canceled": self._not_built() or "Somebody canceled it.",
        }.get(status, f"Its status is {status}.")
        fix = f"See `cygni deployments show {identity}`; deploy again if you still want it."
        return CliError(
            f"{identity} did not become live.", why=why, fix=fix, code=str(status), request_id=self._request_id
        )

    def _not_built(self) -> str | None:
        """Why the platform itself saw nothing to build."""
        status = {step.name: step.status for step in self.deployment.steps or ()}
        messages = [step.message for step in self._parts("Build") if step.status == "skipped"]
        return f"{messages[-1]}." if messages and status.get("source") == "success" else None


def failed(identity: str, failure: DeploymentFailure, request_id: str | None) -> CliError:
    """What stopped a deployment."""
    return CliError(
        failure.message or "The deployment failed.",
        why=f"{failure.code}, in the step {failure.step} of {identity}",
        fix=failure.hint or f"See `cygni deployments show {identity}`.",
        code=failure.code or "failed",
        request_id=request_id,
    )
