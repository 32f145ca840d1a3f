"""The languages that take part: each has a `driver.json`, which the README describes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SDK = Path(__file__).parents[1]
ALL = "REQUIRE_ALL_SDKS"
"""Set where every language must be there: then a program that is missing is a failure, and not a reason to skip."""
SKIPPED = 77
"""The exit status by which a build says that it cannot be made here; its last line says why."""
BUILD_SECONDS = 1200
SCENARIO_SECONDS = 240


class NotHere(Exception):
    """The machine cannot run this language; the message says why."""


@dataclass(frozen=True)
class Language:
    name: str
    needs: list[str]
    build: list[list[str]]
    run: list[str]

    @property
    def folder(self) -> Path:
        return SDK / self.name

    def prepare(self, shared: Path) -> list[str]:
        """Build the driver, once for all that share the folder, and give the command that starts it.

        Raises NotHere; AssertionError where it cannot be built, or not be here although all must.
        """
        missing = [program for program in self.needs if shutil.which(program) is None]
        if missing:
            reason = f"{', '.join(missing)} is not installed"
            if ALL in os.environ:
                raise AssertionError(f"{self.name}: {reason}, and {ALL} is set")
            raise NotHere(reason)
        out = shared / f"conformance-{self.name}"
        out.mkdir(exist_ok=True)
        with (shared / f"conformance-{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            verdict = shared / f"conformance-{self.name}.built"
            if not verdict.exists():
                verdict.write_text(self._build(out))
        if reason := verdict.read_text():
            raise NotHere(reason)
        return [_filled(word, out) for word in self.run]

    def _build(self, out: Path) -> str:
        """Why it cannot be built here; empty once it is."""
        for command in self.build:
            words = [_filled(word, out) for word in command]
            done = subprocess.run(
                words, cwd=self.folder, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
            )
            if done.returncode == SKIPPED:
                return done.stderr.strip().splitlines()[-1]
            if done.returncode != 0:
                raise AssertionError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return ""


def languages() -> list[Language]:
    found: list[Language] = []
    for path in sorted(SDK.glob("*/conformance/driver.json")):
        told: dict[str, Any] = json.loads(path.read_text())
        found.append(Language(path.parts[-3], told.get("needs", []), told.get("build", []), told["run"]))
    return found


def run(language: Language, command: list[str], document: dict[str, Any], env: dict[str, str]) -> tuple[Any, str]:
    """What the driver reports, and what it said on standard error."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CYGNI_", "XDG_"))}
    done = subprocess.run(
        command,
        cwd=language.folder,
        env={**inherited, **env},
        input=json.dumps(document),
        capture_output=True,
        text=True,
        timeout=SCENARIO_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"the driver ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout), done.stderr


def _filled(word: str, out: Path) -> str:
    return word.replace("{out}", str(out)).replace("{python}", sys.executable)
