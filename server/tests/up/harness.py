"""`cygnid` as a person types it, on a data folder and ports of the test's own."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.make.database import foreign_uid

STAND_IN = Path(__file__).parent / "stand_in"
SECONDS = 120


@dataclass
class Cygnid:
    data: Path
    port: int
    build: str = "one"

    def run(self, *arguments: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*arguments),
            env=self.env(**env),
            check=check,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cygnid", *arguments, "--data-dir", str(self.data)]

    def env(self, **more: str) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CYGNI_")}
        return environment | {
            "PYTHONPATH": str(STAND_IN),
            "STAND_IN_BUILD": self.build,
            # no registry of the machine's is written, and no other run uses them
            "CYGNI_UID_BASE": str(foreign_uid()),
            **more,
        }

    def up(self, *arguments: str, **env: str) -> dict[str, Any]:
        ports = ["--port", str(self.port), "--apps-port", str(self.port)]
        return json.loads(self.run("up", "--detach", "--json", *ports, *arguments, **env).stdout.splitlines()[-1])

    def get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())["data"]
        finally:
            connection.close()

    def clean(self) -> None:
        self.run("down", check=False)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # nothing may be left, even of a test that failed in the middle
            for pid in _pids_of(self.data):
                os.kill(pid, signal.SIGKILL)


def _pids_of(data: Path) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"--data-dir\0{data}\0" in (entry / "cmdline").read_text():
                found.append(int(entry.name))
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
