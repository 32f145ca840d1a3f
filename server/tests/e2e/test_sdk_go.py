"""The Go SDK against a real installation: the quick start of its README, and all that a program does."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import EXAMPLES, SECONDS, Installation

GO = Path(__file__).parents[3] / "sdk" / "go"
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

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")


@pytest.fixture
def run(shared: Installation, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Builds a program of one folder and runs it with the installation's owner's key."""
    out = tmp_path_factory.mktemp("go")

    def run(folder: Path, *words: str, cwd: Path) -> str:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CYGNI_")}
        login = {"CYGNI_API_KEY": shared.token, "CYGNI_API_URL": shared.summary["apiUrl"]}
        # nothing is fetched: there are no dependencies, and the toolchain is the one that is here
        tools = {"GOCACHE": str(out / "cache"), "GOPROXY": "off", "GOTOOLCHAIN": "local"}
        build = ["go", "build", "-buildvcs=false", "-o", str(out / "program"), "."]
        for command, where in ((build, folder), ([str(out / "program"), *words], cwd)):
            done = subprocess.run(
                command, cwd=where, env=inherited | login | tools, capture_output=True, text=True, timeout=4 * SECONDS
            )
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def test_the_quick_start(shared: Installation, run: Run, tmp_path: Path) -> None:
    program = re.search(r"```go\n(package main\n.*?)```", (GO / "README.md").read_text(), re.DOTALL)
    assert program is not None
    module = tmp_path / "module"
    module.mkdir()
    (module / "main.go").write_text(program[1])
    (module / "go.mod").write_text(
        "module example\n\ngo 1.23\n\nrequire github.com/cygni/cygni-go v0.0.0\n\n"
        f"replace github.com/cygni/cygni-go => {GO}\n"
    )
    shutil.copytree(EXAMPLES / "hello", tmp_path / "shop")
    said = run(module, cwd=tmp_path).splitlines()
    assert shared.api("GET", "/projects/go-shop")["url"] in said
    assert "go-shop active" in said
    assert "Hello from Cygni" in shared.get("go-shop").body


def test_everything_that_a_program_does(shared: Installation, run: Run, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: python3 app.py\n")
    (tmp_path / "app.py").write_text(APP)
    seen = json.loads(run(GO / "tests" / "sink", str(tmp_path), str(shared.apps_port), cwd=tmp_path))
    assert seen["labels"] == {"made-by": "a test"}
    assert seen["pages"] == ["none", "grün", "none"]
    assert seen["lines"] > 3
    assert seen["end"] == ["finished", "success", None]
    assert seen["rollback"] == ["rollback", "success"]
    assert seen["many"] == [250, 3]
    assert seen["refused"] == "precondition_failed"
    assert seen["deleted"] == ["deleted", 202]
    assert seen["missing"] == ["not_found", True]
    assert seen["progress"] == [True, True]
