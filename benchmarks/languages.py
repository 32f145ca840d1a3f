"""How long a redeploy takes in each language, with unchanged dependencies: Cygni against the app's own start.

Ours begins with the first byte of POST /v1/uploads and ends with the new text through the edge, so it holds the
upload, the build, the start and the switch. The app's own start is what was built, started by its own command outside
of everything, until it answers. The apps are those of examples/, with another text in each version; a language that
this machine lacks is left out. Their first deploys, which copy toolchains and fill caches, are not measured.

    python benchmarks/languages.py [--rounds 5] [--only go,rust,java,ruby,php,hugo]
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from cygnid.build.toolchains import find
from harness import PATIENCE_SECONDS, Installation, archive, folder, free_port, installation, interval, seen

_EXAMPLES = Path(__file__).parents[1] / "examples"
_texts = (f"version {number}." for number in count(1))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An example, and how people build and start it by hand. {out} is a folder outside of the source."""

    needs: Sequence[str]
    text: str
    """In its source, to be replaced."""
    build: str | None = None
    start: str | None = None
    """None: files, which nothing starts."""


KINDS: Mapping[str, Kind] = {
    "go": Kind(needs=["go"], text="Hello from Go", build="go build -o {out}/hello .", start="{out}/hello"),
    "rust": Kind(
        needs=["rust"],
        text="Hello from Rust",
        build="cargo build --release --target-dir {out}",
        start="{out}/release/hello",
    ),
    "java": Kind(
        needs=["java", "maven"],
        text="Hello from Java",
        build="mvn -B -ntp -q -Dmaven.repo.local={out} package",
        start="java -jar target/hello-1.0.jar",
    ),
    "ruby": Kind(needs=["ruby"], text="Hello from Ruby", start="ruby app.rb"),
    "php": Kind(needs=["php"], text="Hello from PHP", start="php -S 127.0.0.1:$PORT -t public"),
    "hugo": Kind(needs=["hugo"], text="Hello from Hugo"),
}


@dataclass
class Case:
    """One language on one installation."""

    name: str
    ours: Installation
    base: Path
    deploys: list[float] = field(default_factory=list[float])
    builds: list[float] = field(default_factory=list[float])
    boots: list[float] = field(default_factory=list[float])

    def __post_init__(self) -> None:
        self._kind = KINDS[self.name]
        self._project = self.ours.project(f"bench-{self.name}")
        if self._kind.start:
            shutil.copytree(_EXAMPLES / self.name, self.base / self.name)
        if self._kind.build:
            self._run(self._kind.build).check_returncode()
        self._deploy()

    def round(self) -> None:
        took, build = self._deploy()
        self.deploys.append(took)
        self.builds.append(build)
        if self._kind.start:
            self.boots.append(self._boot(self._kind.start))

    def _deploy(self) -> tuple[float, float]:
        """Seconds until the next version is live, and those of its build."""
        text = next(_texts)
        source = {
            str(path.relative_to(_EXAMPLES / self.name)): path.read_text().replace(self._kind.text, text)
            for path in (_EXAMPLES / self.name).rglob("*")
            if path.is_file()
        }
        packed = archive(source)
        began = time.perf_counter()
        deployment = self.ours.deploy(self._project, packed)
        host = self.ours.host(f"bench-{self.name}")
        took = seen(self.ours.apps_port, host, text, began, hope=lambda: self.ours.going(deployment))
        steps = self.ours.ended(deployment)["steps"]
        return took, next(step["durationMs"] / 1000 for step in steps if step["name"] == "build")

    def _boot(self, start: str) -> float:
        port = free_port()
        began = time.perf_counter()
        process = subprocess.Popen(
            ["sh", "-c", f"exec {self._filled(start)}"],
            cwd=self.base / self.name,
            env={**os.environ, "PORT": str(port)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return seen(port, "localhost", "", began, every=0.001)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _run(self, command: str) -> subprocess.CompletedProcess[bytes]:
        where = self.base / self.name
        return subprocess.run(["sh", "-c", self._filled(command)], cwd=where, timeout=PATIENCE_SECONDS * 3, check=False)

    def _filled(self, command: str) -> str:
        return command.replace("{out}", str(self.base / f"{self.name}.out"))

    def lines(self) -> list[str]:
        lines = [f"{self.name}: redeploy", f"  Cygni             {interval(self.deploys)} s"]
        lines.append(f"  its build         {interval(self.builds)} s")
        if self.boots:
            lines.append(f"  the app's own start {interval(self.boots)} s")
            over = [ours - build - own for ours, build, own in zip(self.deploys, self.builds, self.boots, strict=True)]
            lines.append(f"  beside build and start {statistics.median(over):.3f} s")
        return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(KINDS), help="languages, by commas")
    options = parser.parse_args()
    with folder() as base, installation() as ours:
        cases: list[Case] = []
        for name in options.only.split(","):
            if missing := [need for need in KINDS[name].needs if not find(need)]:
                print(f"{name}: left out, no {' and no '.join(missing)} on this machine")
            else:
                cases.append(Case(name, ours, base))
        for _ in range(options.rounds):
            for case in cases:
                case.round()
        for case in cases:
            print("\n".join(case.lines()))


if __name__ == "__main__":
    main()
