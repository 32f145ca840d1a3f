"""A deployment told while it happens: Build · Release · Live, each with its seconds, and the URL at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import LET_GO, CliError
from .output import Result, ago, seconds

if TYPE_CHECKING:
    from cygni import Response

    from .context import Context

PHASES = {"Build": ("source", "build"), "Release": ("release",), "Live": ("start", "health", "switch")}
ENDS = ("success", "failed", "canceled", "superseded")
STEP_ENDS = ("success", "failed", "skipped", "canceled")


def follow(ctx: Context, answer: Response) -> Result:
    """Watch the deployment that was answered to its end. Ctrl-C lets go of it and does not cancel it."""
    story = _Story(ctx, answer)
    try:
        return story.tell()
    except KeyboardInterrupt:
        identity = story.deployment["id"]
        ctx.talk.say(f"Let go of {identity}: it goes on by itself.")
        after = [f"Watch it:  cygni deployments watch {identity}", f"Cancel it: cygni deployments cancel {identity}"]
        return Result(story.deployment, after=after, exit_code=LET_GO)


class _Story:
    def __init__(self, ctx: Context, answer: Response) -> None:
        self._ctx = ctx
        self._request_id = answer.request_id
        self._told: set[str] = set()
        self._lines: list[str] = []
        self.deployment: dict[str, Any] = answer.data
        self._path = f"/v1/deployments/{self.deployment['id']}"

    def tell(self) -> Result:
        if self.deployment["status"] not in ENDS:
            self._tell_waiting()
            self._tell_lines()
            self._refresh()
        self._tell_phases()
        return self._ending()

    def _tell_waiting(self) -> None:
        holder = self.deployment["blockedById"]
        if self.deployment["status"] == "queued" and holder:
            other = self._ctx.client.request("GET", f"/v1/deployments/{holder}").data
            since = ago(other["startedAt"] or other["createdAt"])
            place = self.deployment["environment"]
            self._ctx.talk.say(f"Waiting: {place} is held by {holder}, {other['status']}, since {since}.")

    def _tell_lines(self) -> None:
        step: str | None = None
        for event, line in self._ctx.client.events(f"{self._path}/logs/stream"):
            if event != "log":
                continue
            if line["step"] != step:
                step = line["step"]
                self._refresh()
                self._tell_phases()
            self._lines.append(line["message"] or "")
            self._ctx.talk.log(self._lines[-1])

    def _refresh(self) -> None:
        self.deployment = self._ctx.client.request("GET", self._path).data

    def _tell_phases(self) -> None:
        steps = {step["name"]: step for step in self.deployment["steps"] or ()}
        for phase, names in PHASES.items():
            parts = [steps[name] for name in names if name in steps]
            if phase in self._told or not parts or not all(part["status"] in STEP_ENDS for part in parts):
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
            return Result(deployment, error=self._not_live())
        for line in self._untold(failure["logExcerpt"] or []):
            self._ctx.talk.log(line)
        return Result(deployment, error=failed(deployment, self._request_id))

    def _untold(self, excerpt: list[str]) -> list[str]:
        """The lines of a failure, unless they were the last that the log told anyway."""
        return [] if excerpt == self._lines[-len(excerpt) :] else excerpt

    def _not_live(self) -> CliError:
        status, identity = self.deployment["status"], self.deployment["id"]
        why = {
            "superseded": "A newer deployment of this environment took its place.",
            "canceled": "Somebody canceled it.",
        }.get(status, f"Its status is {status}.")
        fix = f"See `cygni deployments show {identity}`; deploy again if you still want it."
        return CliError(
            f"{identity} did not become live.", why=why, fix=fix, code=str(status), request_id=self._request_id
        )


def failed(deployment: dict[str, Any], request_id: str | None) -> CliError:
    """What stopped a deployment that has a `failure`."""
    failure = deployment["failure"]
    return CliError(
        failure["message"] or "The deployment failed.",
        why=f"{failure['code']}, in the step {failure['step']} of {deployment['id']}",
        fix=failure["hint"] or f"See `cygni deployments show {deployment['id']}`.",
        code=failure["code"] or "failed",
        request_id=request_id,
    )
