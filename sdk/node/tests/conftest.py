"""The package, built once; programs that use it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NODE = Path(__file__).parents[1]
SECONDS = 600
"""That a program may take on a busy machine before it counts as stuck."""

Run = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: str, cwd: Path = NODE, **env: str) -> subprocess.CompletedProcess[str]:
    """The program's end, which must be a good one."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CYGNI_")}
    done = subprocess.run(
        command, cwd=cwd, env={**inherited, **env}, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def node() -> Run:
    """Runs programs, the package being built."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")
    done = subprocess.run(
        [sys.executable, "scripts/prepare.py"], cwd=NODE, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode == 77:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return run
