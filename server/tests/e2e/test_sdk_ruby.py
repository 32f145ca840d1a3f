"""The Ruby SDK against a real installation: the quick start of its README, and all that a program does."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import EXAMPLES, SECONDS, Installation

RUBY = Path(__file__).parents[3] / "sdk" / "ruby"
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

pytestmark = pytest.mark.skipif(shutil.which("ruby") is None, reason="ruby is not installed")


@pytest.fixture
def run(shared: Installation) -> Run:
    """Runs a program with the installation's owner's key."""

    def run(*words: str, cwd: Path = RUBY) -> str:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CYGNI_")}
        login = {"CYGNI_API_KEY": shared.token, "CYGNI_API_URL": shared.summary["apiUrl"]}
        done = subprocess.run(
            ["ruby", "-w", "-I", str(RUBY / "lib"), *words],
            cwd=cwd,
            env={**inherited, **login},
            capture_output=True,
            text=True,
            timeout=4 * SECONDS,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def test_the_quick_start(shared: Installation, run: Run, tmp_path: Path) -> None:
    program = re.search(r"```ruby\n(.*?)```", (RUBY / "README.md").read_text(), re.DOTALL)
    assert program is not None
    (tmp_path / "quick_start.rb").write_text(program[1])
    shutil.copytree(EXAMPLES / "hello", tmp_path / "shop")
    said = run("quick_start.rb", cwd=tmp_path).splitlines()
    assert shared.api("GET", "/projects/ruby-shop")["url"] in said
    assert "ruby-shop active" in said
    assert "Hello from Cygni" in shared.get("ruby-shop").body


def test_everything_that_a_program_does(shared: Installation, run: Run, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: python3 app.py\n")
    (tmp_path / "app.py").write_text(APP)
    seen = json.loads(run("tests/kitchen_sink.rb", str(tmp_path), str(shared.apps_port)))
    assert seen["labels"] == {"made-by": "a test"}
    assert seen["pages"] == ["none", "grün", "none"]
    assert seen["lines"] > 3
    assert seen["end"] == {"reason": "finished", "status": "success", "exit_code": None}
    assert seen["rollback"] == ["rollback", "success"]
    assert seen["many"] == [250, 3]
    assert seen["refused"] == "precondition_failed"
    assert seen["deleted"] == 202
    assert seen["missing"] == ["not_found", True]
    assert seen["progress"] == [0, True]
