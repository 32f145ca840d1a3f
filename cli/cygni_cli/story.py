"""A deployment told while it happens: Build · Release · Live, each with its seconds, and the URL at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import LET_GO, CliError
from .output import Result, ago, seconds

if TYPE_CHECKING:
    from .context import Context

PHASES = {"Build": ("source", "build"), "Release": ("release",), "Live": ("start", "health", "switch")}
ENDS = ("success", "failed", "canceled", "superseded")
STEP_ENDS = ("success", "failed", "skipped", "canceled")

# The server goes away for a moment, or this reader was too slow: the stream goes on where it stopped.
PASSING_REASONS = ("shutdown", "tooSlow")


def follow(ctx: Context, deployment: dict[str, Any]) -> Result:
    """Watch a deployment to its end. Ctrl-C lets go of it and does not cancel it."""
    story = _Story(ctx, deployment)
    try:
        return story.tell()
    except KeyboardInterrupt:
        identity = deployment["id"]
        ctx.talk.say(f"Let go of {identity}: it goes on by itself.")
        after = [f"Watch it:  cygni deployments watch {identity}", f"Cancel it: cygni deployments cancel {identity}"]
        return Result(story.deployment, after=after, exit_code=LET_GO)


class _Story:
    def __init__(self, ctx: Context, deployment: dict[str, Any]) -> None:
        self._ctx = ctx
        self._path = f"/v1/deployments/{deployment['id']}"
        self._told: set[str] = set()
        self.deployment = deployment

    def tell(self) -> Result:
        if self.deployment["status"] not in ENDS:
            self._tell_waiting()
            self._tell_lines()
            self._refresh()
        self._tell_phases()
        return self._ending()

    def _tell_waiting(self) -> None:
        talk, status = self._ctx.talk, self.deployment["status"]
        if status == "awaitingApproval":
            talk.say(f"Waiting for approval: {self.deployment['approvalsRequired']} needed.")
        elif status == "queued" and (holder := self.deployment["blockedById"]):
            other = self._ctx.client.request("GET", f"/v1/deployments/{holder}").data
            environment, since = self.deployment["environment"], ago(other["startedAt"] or other["createdAt"])
            talk.say(f"Waiting: {environment} is held by {holder}, {other['status']}, since {since}.")

    def _tell_lines(self) -> None:
        last_id: str | None = None
        step: str | None = None
        while True:
            with self._ctx.client.stream(f"{self._path}/logs/stream", last_event_id=last_id) as stream:
                for event in stream:
                    if event.event != "log":
                        continue
                    if event.data["step"] != step:
                        step = event.data["step"]
                        self._refresh()
                        self._tell_phases()
                    self._ctx.talk.log(event.data["message"])
                last_id, end = stream.last_event_id, stream.end
            if end is None or end.reason not in PASSING_REASONS:
                break
        if end is not None and end.reason == "unauthorized":
            raise CliError(
                "The token lost its access while this ran; the deployment goes on.",
                why="The stream ended: unauthorized.",
                fix=f"Run `cygni login`, then `cygni deployments watch {self.deployment['id']}`.",
                code="unauthorized",
            )

    def _refresh(self) -> None:
        self.deployment = self._ctx.client.request("GET", self._path).data

    def _tell_phases(self) -> None:
        steps = {step["name"]: step for step in self.deployment["steps"]}
        for phase, names in PHASES.items():
            parts = [steps[name] for name in names if name in steps]
            if phase in self._told or not all(part["status"] in STEP_ENDS for part in parts):
                continue
            self._told.add(phase)
            self._tell_phase(phase, parts)

    def _tell_phase(self, phase: str, parts: Sequence[dict[str, Any]]) -> None:
        statuses = {part["status"] for part in parts}
        if statuses <= {"skipped", "canceled"}:
            self._ctx.talk.step("-", phase, " ".join(sorted(statuses)), "")
            return
        took = seconds(sum(part["durationMs"] or 0 for part in parts))
        messages = [part["message"] for part in parts if part["message"]]
        self._ctx.talk.step("✗" if "failed" in statuses else "✓", phase, messages[-1] if messages else "", took)

    def _ending(self) -> Result:
        deployment = self.deployment
        if deployment["status"] == "success":
            if deployment["url"] is None:
                self._ctx.talk.say("Live. It has no web process, so it has no URL.")
            return Result(deployment, [deployment["url"] or deployment["id"]])
        failure = deployment["failure"]
        if failure is None:
            return Result(deployment, error=_not_live(deployment))
        for line in failure["logExcerpt"]:
            self._ctx.talk.log(line)
        error = CliError(
            failure["message"],
            why=f"{failure['code']}, in the step {failure['step']}",
            fix=failure["hint"],
            code=failure["code"],
            request_id=deployment["id"],
        )
        return Result(deployment, error=error)


def _not_live(deployment: dict[str, Any]) -> CliError:
    status = deployment["status"]
    why = {
        "superseded": "A newer deployment of this environment took its place.",
        "canceled": "Somebody canceled it.",
    }.get(status, f"Its status is {status}.")
    fix = f"See `cygni deployments show {deployment['id']}`; deploy again if you still want it."
    return CliError("It did not become live.", why=why, fix=fix, code=status, request_id=deployment["id"])
