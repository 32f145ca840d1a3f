"""The Node SDK against a real installation: the quick start of its README, and all that a program does."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import EXAMPLES, SECONDS, Installation

NODE = Path(__file__).parents[3] / "sdk" / "node"
APP = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get("COLOR", "none").encode())

HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
Run = Callable[..., str]


@pytest.fixture
def run(shared: Installation) -> Run:
    """Runs a program with the installation's owner's key."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")
    prepared = subprocess.run([sys.executable, "scripts/prepare.py"], cwd=NODE, capture_output=True, text=True)
    if prepared.returncode == 77:
        pytest.skip(prepared.stderr.strip().splitlines()[-1])
    assert prepared.returncode == 0, prepared.stderr

    def run(*words: str, cwd: Path = NODE) -> str:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CYGNI_")}
        login = {"CYGNI_API_KEY": shared.token, "CYGNI_API_URL": shared.summary["apiUrl"]}
        done = subprocess.run(
            words, cwd=cwd, env={**inherited, **login}, capture_output=True, text=True, timeout=2 * SECONDS
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def test_the_quick_start(shared: Installation, run: Run, tmp_path: Path) -> None:
    program = re.search(r"```js\n(import .*?)```", (NODE / "README.md").read_text(), re.DOTALL)
    assert program is not None
    (tmp_path / "quick-start.mjs").write_text(program[1])
    shutil.copytree(EXAMPLES / "hello", tmp_path / "shop")
    package = tmp_path / "node_modules" / "@cygni" / "sdk"
    package.parent.mkdir(parents=True)
    package.symlink_to(NODE)
    said = run("node", "quick-start.mjs", cwd=tmp_path).splitlines()
    assert "success" in said
    url = shared.api("GET", "/projects/shop")["url"]
    assert f"shop {url}" in said
    assert "Hello from Cygni" in shared.get("shop").body


def test_everything_that_a_program_does(shared: Installation, run: Run, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: python app.py\n")
    (tmp_path / "app.py").write_text(APP)
    seen = json.loads(run("node", "tests/kitchen-sink.mjs", str(tmp_path), str(shared.apps_port)))
    assert seen["pages"] == ["none", "grün", "none"]
    assert seen["lineCount"] > 3
    assert seen["end"] == {"reason": "finished", "status": "success", "exitCode": None}
    assert seen["rollback"] == ["rollback", "success"]
    assert seen["many"] == [250, 250]
    assert seen["refused"] == "precondition_failed"
    assert seen["missing"] == ["not_found", True]
    assert seen["progress"] == [0, True]
    assert seen["deleted"] == "deleted"
