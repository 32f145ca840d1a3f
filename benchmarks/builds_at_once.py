"""What ten builds at once take from the API and from a running app, against the same installation without them.

Ten projects are deployed at the same moment. Their builds compute and write to the disk without end, each by two
processes, and are canceled after the round. The installation does with them what it does by default: so many run as it
has places for, the others wait. Meanwhile clients ask the app for as much as it gives, and the API for lists and a
change, 40 times a second. A round without builds is the baseline; the two take turns in going first.

    python benchmarks/builds_at_once.py [--rounds 5] [--seconds 8] [--builds 10] [--slots N] [--weight N]
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import uvloop

from harness import NODE, PATIENCE_SECONDS, Installation, archive, installation, interval, ratios
from load import Seen, load, watch

BUILD = "for each in 1 2; do (while :; do head -c 30000000 /dev/urandom | gzip > made.$each; done) & done; wait"
_APP_CLIENTS = 8
_PER_SECOND = 10
"""Of each of the API's clients."""


@dataclass(frozen=True)
class Round:
    app: Seen
    api: Seen
    built: int
    """Builds that had a place when it was over."""


def ask_api(port: int, requests: Sequence[bytes], seconds: float) -> Seen:
    """A client for each request."""

    async def run() -> Seen:
        until, total = asyncio.Event(), Seen()
        asyncio.get_running_loop().call_later(seconds, until.set)
        for seen in await asyncio.gather(
            *(watch(port, request, until, clients=1, per_second=_PER_SECOND) for request in requests)
        ):
            total.add(seen)
        return total

    return uvloop.run(run())


def api_requests(ours: Installation, project: str) -> list[bytes]:
    change = json.dumps({"labels": {"asked": "again"}}).encode()
    head = f"Host: here\r\nAuthorization: Bearer {ours.token}\r\n"
    gets = ("/projects?limit=20", f"/deployments?projectId={project}", f"/projects/{project}")
    found = [f"GET /v1{path} HTTP/1.1\r\n{head}\r\n".encode() for path in gets]
    json_head = f"{head}Content-Type: application/json\r\nContent-Length: {len(change)}\r\n"
    return [*found, f"PATCH /v1/projects/{project} HTTP/1.1\r\n{json_head}\r\n".encode() + change]


class Yard:
    """An installation with an app that runs, and projects that can be built."""

    def __init__(self, ours: Installation, processes: ProcessPoolExecutor, builds: int) -> None:
        self._ours, self._processes = ours, processes
        app = ours.project("bench-app")
        ours.ended(ours.deploy(app, archive(NODE.files("hello"))))
        self._requests = api_requests(ours, app)
        self._projects = [ours.project(f"built-{number}") for number in range(builds)]
        self._source = archive({"Procfile": "web: true\n", "cygni.toml": f"build_command = {json.dumps(BUILD)}\n"})

    def measure(self, seconds: float, *, build: bool) -> Round:
        host = self._ours.host("bench-app")
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        app = self._processes.submit(load, self._ours.apps_port, request, seconds, clients=_APP_CLIENTS)
        api = self._processes.submit(ask_api, self._ours.api_port, self._requests, seconds)
        begun = [self._ours.deploy(project, self._source) for project in self._projects] if build else []
        seen = app.result(), api.result()
        built = [each for each in begun if self._now(each)["status"] == "building"]
        for deployment in begun:
            self._ours.call("POST", f"/deployments/{deployment['id']}/cancel", {})
        for deployment in begun:
            self._until_canceled(deployment)
        for name, each in zip(("the app", "the API"), seen, strict=True):
            if each.failed or not each.answered:
                raise SystemExit(f"{name}: {each.failed} of {each.answered} requests failed")
        return Round(*seen, len(built))

    def _now(self, deployment: dict[str, Any]) -> dict[str, Any]:
        return self._ours.call("GET", f"/deployments/{deployment['id']}")

    def _until_canceled(self, deployment: dict[str, Any]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (now := self._now(deployment))["status"] != "canceled":
            if now["finishedAt"] or time.monotonic() > deadline:
                raise SystemExit(f"a canceled deployment is {now['status']}: {json.dumps(now['failure'], indent=2)}")
            time.sleep(0.05)


def p99(seen: Seen) -> float:
    return statistics.quantiles(seen.waits, n=100)[98] * 1000


def report(quiet: list[Round], busy: list[Round], seconds: float) -> None:
    rates = {name: [each.app.answered / seconds for each in rounds] for name, rounds in (("q", quiet), ("b", busy))}
    print(f"builds that ran at once: {', '.join(str(each.built) for each in busy)}")
    print(f"app, requests/s without builds: {interval(rates['q'])}")
    print(f"app, requests/s with builds ÷ without: {ratios(rates['b'], rates['q'])}; aim > 0.9")
    print(f"app, p99 in ms without builds: {interval([p99(each.app) for each in quiet])}")
    print(f"app, p99 in ms with builds: {interval([p99(each.app) for each in busy])}")
    print(f"API, p99 in ms without builds: {interval([p99(each.api) for each in quiet])}")
    print(f"API, p99 in ms with builds: {interval([p99(each.api) for each in busy])}; aim < 300")
    print(f"API, slowest answer with builds: {max(each.api.slowest for each in busy) * 1000:.0f} ms")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=8)
    options.add_argument("--builds", type=int, default=10)
    options.add_argument("--slots", type=int, help="builds that may run at once, instead of the default")
    options.add_argument("--weight", type=int, help="what builds weigh, instead of the default")
    chosen = options.parse_args()
    given = {"CYGNI_BUILDS_AT_ONCE": chosen.slots, "CYGNI_BUILD_WEIGHT": chosen.weight}
    settings = {name: str(value) for name, value in given.items() if value is not None}
    quiet: list[Round] = []
    busy: list[Round] = []
    with installation(**settings) as ours, ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        yard = Yard(ours, processes, chosen.builds)
        for number in range(-1, chosen.rounds):
            for build in (True, False) if number % 2 else (False, True):
                found = yard.measure(chosen.seconds, build=build)
                if number >= 0:  # the first round warms up
                    (busy if build else quiet).append(found)
    report(quiet, busy, chosen.seconds)


if __name__ == "__main__":
    main()
