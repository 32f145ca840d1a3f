"""How long a deploy takes: Cygni against a bare script (bare_script.sh) and against the app's own start.

Ours begins with the first byte of POST /v1/uploads and ends with the new text through the edge; the script begins when
it is started, with the code on the machine already, and ends with the new text through its front door. Both are looked
at every 5 ms over new connections. Packages are downloaded before: "first deploy" installs, and downloads nothing.

    python benchmarks/deploys.py [--rounds 9] [--only flask,node,static,first,rollback]
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bare import Bare, bare
from harness import FLASK, NODE, STATIC, App, Installation, archive, folder, installation, interval, ratios, seen

CASES = ("flask", "node", "static", "first", "rollback", "static-rollback")


@dataclass(frozen=True)
class Deployed:
    seconds: float
    parts: Mapping[str, float]
    """Seconds of the upload and of each step; what is missing to `seconds` is the way between them."""


@dataclass
class Case:
    name: str
    cygni: Callable[[], Deployed]
    script: Callable[[], float]
    boot: Callable[[], float] | None = None
    times: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    parts: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def round(self, number: int) -> None:
        runs = {"cygni": self._deployed, "script": self.script, **({"boot": self.boot} if self.boot else {})}
        for name in sorted(runs, reverse=bool(number % 2)):
            self.times.setdefault(name, []).append(runs[name]())

    def _deployed(self) -> float:
        done = self.cygni()
        for name, took in done.parts.items():
            self.parts.setdefault(name, []).append(took)
        return done.seconds

    def lines(self) -> Iterator[str]:
        cygni, script = self.times["cygni"], self.times["script"]
        yield f"{self.name}"
        yield f"  Cygni           {interval(cygni)} s"
        yield f"  script          {interval(script)} s"
        yield f"  Cygni ÷ script  {ratios(cygni, script)}"
        if "boot" in self.times:
            yield f"  the app's own start {interval(self.times['boot'])} s"
            over = [ours - own for ours, own in zip(cygni, self.times["boot"], strict=True)]
            yield f"  Cygni above it  {statistics.median(over):.3f} s"
        medians = [f"{name} {statistics.median(took):.3f}" for name, took in self.parts.items()]
        yield f"  of it           {', '.join(medians)}"


class Sites:
    """The same apps on both sides; every version of one has another text."""

    def __init__(self, ours: Installation, theirs: Bare) -> None:
        self._ours, self._theirs = ours, theirs
        self._texts = (f"version {number}." for number in count(1))
        self._projects: dict[str, str] = {}
        self._live: dict[tuple[str, str], list[tuple[str, str]]] = {}

    def ours(self, app: App, *, new_dependencies: bool = False) -> Deployed:
        """Deploy the next version. With new dependencies all is installed anew, in an environment that was never
        deployed: what is downloaded belongs to the project and stays."""
        if app.kind not in self._projects:
            self._projects[app.kind] = self._ours.project(f"bench-{app.kind}")
        project, environment, text = self._projects[app.kind], "production", next(self._texts)
        files = app.files(text)
        if new_dependencies:
            environment = f"first-{text.split()[1].rstrip('.')}"
            self._ours.call("POST", f"/projects/{project}/environments", {"name": environment})
            files["requirements.txt"] += f"# {text}\n"
        packed = archive(files)
        began = time.perf_counter()
        deployment = self._ours.deploy(project, packed, environment)
        uploaded = time.perf_counter() - began
        took = self._live_after(deployment, self._ours.host(f"bench-{app.kind}", environment), text, began)
        if environment == "production":
            self._live.setdefault(("ours", app.kind), []).append((deployment["id"], text))
        return Deployed(took, {"upload": uploaded, **self._steps(deployment)})

    def _live_after(self, deployment: Mapping[str, Any], host: str, text: str, began: float) -> float:
        return seen(self._ours.apps_port, host, text, began, hope=lambda: self._ours.going(deployment))

    def _steps(self, deployment: Mapping[str, Any]) -> dict[str, float]:
        steps = self._ours.ended(deployment)["steps"]
        return {step["name"]: step["durationMs"] / 1000 for step in steps if step["durationMs"] is not None}

    def theirs(self, app: App, *, new_dependencies: bool = False) -> float:
        text = next(self._texts)
        if new_dependencies:
            self._theirs.forget_dependencies(app)
        source = self._theirs.source(app, text)
        began = time.perf_counter()
        script = self._theirs.deploy(app, source)
        took = seen(self._theirs.port, app.kind, text, began)
        _well(script.wait())
        self._live.setdefault(("theirs", app.kind), []).append(("", text))
        return took

    def ours_back(self, app: App) -> Deployed:
        """To the version before."""
        (before, text), now = self._live["ours", app.kind][-2:]
        began = time.perf_counter()
        deployment = self._ours.call("POST", f"/deployments/{before}/rollback", {})
        took = self._live_after(deployment, self._ours.host(f"bench-{app.kind}"), text, began)
        self._live["ours", app.kind] += [now, (before, text)]
        return Deployed(took, self._steps(deployment))

    def theirs_back(self, app: App) -> float:
        (_, text), now = self._live["theirs", app.kind][-2:]
        began = time.perf_counter()
        script = self._theirs.rollback(app)
        took = seen(self._theirs.port, app.kind, text, began)
        _well(script.wait())
        self._live["theirs", app.kind] += [now, ("", text)]
        return took

    def boot(self, app: App) -> float:
        return self._theirs.boot(app)


def _well(code: int) -> None:
    if code:
        raise SystemExit(f"the script ended with {code}")


def cases(sites: Sites) -> list[Case]:
    def redeploy(app: App) -> Case:
        boot = None if app is STATIC else lambda: sites.boot(app)
        return Case(f"{app.kind}: redeploy", lambda: sites.ours(app), lambda: sites.theirs(app), boot)

    def back(app: App) -> Case:
        return Case(f"{app.kind}: rollback", lambda: sites.ours_back(app), lambda: sites.theirs_back(app))

    first = Case(
        "flask: first deploy, downloads warm",
        lambda: sites.ours(FLASK, new_dependencies=True),
        lambda: sites.theirs(FLASK, new_dependencies=True),
    )
    all_cases = (redeploy(FLASK), redeploy(NODE), redeploy(STATIC), first, back(FLASK), back(STATIC))
    return list(all_cases)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--only", default=",".join(CASES), help="cases, by commas")
    chosen = options.parse_args()
    only = chosen.only.split(",")
    with folder() as base, installation() as ours, bare(base / "bare") as theirs:
        sites = Sites(ours, theirs)
        measured = [case for name, case in zip(CASES, cases(sites), strict=True) if name in only]
        for app in (FLASK, NODE, STATIC):  # what is kept from one deploy to the next is there
            for _ in range(2):
                sites.ours(app)
                sites.theirs(app)
        for number in range(chosen.rounds):
            for case in measured:
                case.round(number)
        print(f"The script's front door: {theirs.front}.")
        for case in measured:
            print("\n".join(case.lines()))


if __name__ == "__main__":
    main()
