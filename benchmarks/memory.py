"""What the platform weighs at rest: everything that `up` starts, and what an idle app adds over its own processes.

Memory is PSS (proportional set size): shared pages are divided among those who share them. Needs root, where apps run
as users of their own and can be told apart.

The first deploys are not counted with the next one's: each connection to the database keeps the plans of the hundred
statements that it used last, about 5 MB, and gets there only once each statement has come by on each connection. What
grows is the private memory of its processes, by 1.5 MB an app at first and 0.3 MB after a dozen; the shared buffers
hardly grow at all.

    python benchmarks/memory.py [--apps 8] [--warm 12] [--settle 10]
"""

import argparse
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness import NODE, Installation, archive, installation

WRAPPING = frozenset({"bwrap", "sh"})
"""What the platform puts around an app's own processes."""
_FIRST_APP, _USERS = 10, 10_000
"""Of an installation's block of users."""


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    name: str
    uid: int
    pss_mb: float


def processes() -> dict[int, Process]:
    found: dict[int, Process] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pss = next(line for line in (folder / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(") ")
            pid, uid = int(folder.name), folder.stat().st_uid
        except (OSError, StopIteration):
            continue  # ended meanwhile, a kernel thread, or not ours to see
        found[pid] = Process(pid, int(rest.split()[1]), name, uid, int(pss.split()[1]) / 1024)
    return found


def below(roots: Iterable[int], now: dict[int, Process]) -> set[int]:
    """The processes and all their descendants."""
    found = set(roots) & now.keys()
    while more := {pid for pid, process in now.items() if process.parent in found} - found:
        found |= more
    return found


def total(pids: Iterable[int], now: dict[int, Process]) -> float:
    return sum(now[pid].pss_mb for pid in pids)


def apps(ours: Installation, now: dict[int, Process]) -> set[int]:
    base = json.loads((ours.data / "installation.json").read_text())["uidBase"]
    return {pid for pid, process in now.items() if base + _FIRST_APP <= process.uid < base + _USERS}


def parts(ours: Installation, now: dict[int, Process]) -> dict[str, float]:
    """MB of each program that `up` started, with what it started itself but for apps and the other programs."""
    inside = apps(ours, now)
    found: dict[str, float] = {}
    for name, pid in ours.pids.items():
        others = below((other for other in ours.pids.values() if other != pid), now) if name == "supervisor" else set()
        found[name] = total(below([pid], now) - others - inside, now)
    return found


def listed(megabytes: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in megabytes.items())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--apps", type=int, default=8)
    options.add_argument("--warm", type=int, default=12, help="apps before the first look")
    options.add_argument("--settle", type=float, default=10, help="seconds of rest before each look")
    chosen = options.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("memory.py needs root: otherwise platform and apps are one user")
    with installation() as ours:
        time.sleep(chosen.settle)
        rest = parts(ours, processes())
        print(f"at rest after `up`: {sum(rest.values()):.0f} MB ({listed(rest)})")
        for number in range(chosen.warm):  # what the first deploys make the platform load is not the next one's
            deploy(ours, f"warm-{number}")
        before = looked(ours, chosen.settle)
        for number in range(chosen.apps):
            deploy(ours, f"more-{number}")
        after = looked(ours, chosen.settle)
        more = {name: (after[name] - before[name]) / chosen.apps for name in before}
        print(f"one more idle app: {sum(more.values()):.1f} MB, of these its own {more.pop('own'):.1f}")
        print(f"over its own processes: {sum(more.values()):.2f} MB ({listed(more)})")


def deploy(ours: Installation, name: str) -> None:
    ours.ended(ours.deploy(ours.project(name), archive(NODE.files(f"{name}."))))


def looked(ours: Installation, settle: float) -> dict[str, float]:
    """MB of the platform's parts, of what it puts around the apps, and of the apps' own processes."""
    time.sleep(settle)
    now = processes()
    inside = apps(ours, now)
    around = {pid for pid in inside if now[pid].name in WRAPPING}
    return {**parts(ours, now), "around": total(around, now), "own": total(inside - around, now)}


if __name__ == "__main__":
    main()
