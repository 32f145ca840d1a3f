"""The Go module by Go's own tools, and its README's program, compiled in a module of its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

GO = Path(__file__).parents[1]
SECONDS = 900
NOT_HERE = ("requires go >=", "dial tcp", "no such host", "module lookup disabled")
"""What Go says where it is too old for a tool, or nothing can be fetched."""

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")


@pytest.fixture(scope="session")
def env(tmp_path_factory):
    # nothing is fetched: there are no dependencies, and the toolchain is the one that is here
    own = {"GOCACHE": str(tmp_path_factory.mktemp("gocache")), "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    return {**os.environ, **own}


def go(env, *arguments, folder=GO):
    done = subprocess.run(["go", *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_and_vet(env):
    go(env, "vet", "./...")
    go(env, "test", "./...")


def test_staticcheck(tmp_path):
    if not os.access(GO, os.W_OK):
        pytest.skip("the checkout belongs to another user, for whom staticcheck is built")
    program = tmp_path / "staticcheck"
    build = ["go", "build", "-buildvcs=false", "-o", str(program), "honnef.co/go/tools/cmd/staticcheck"]
    # with the caches of who runs it: building anew what does not change would take a minute
    own = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run(build, cwd=GO / "tools", env=own, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode and any(reason in done.stderr for reason in NOT_HERE):
        pytest.skip(f"staticcheck cannot be built here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    checked = subprocess.run([program, "./..."], cwd=GO, env=own, capture_output=True, text=True, timeout=SECONDS)
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr


def test_it_has_the_formatters_form(env):
    gofmt = Path(go(env, "env", "GOROOT").strip()) / "bin" / "gofmt"
    assert subprocess.run([gofmt, "-l", "."], cwd=GO, capture_output=True, text=True, check=True).stdout == ""


def test_nothing_but_the_standard_library_is_needed():
    assert "require" not in (GO / "go.mod").read_text()


def test_the_quick_start_compiles_in_another_module(env, tmp_path):
    program = re.search(r"```go\n(package main\n.*?)```", (GO / "README.md").read_text(), re.DOTALL)
    assert program
    (tmp_path / "main.go").write_text(program[1])
    (tmp_path / "go.mod").write_text(
        "module example\n\ngo 1.23\n\nrequire github.com/cygni/cygni-go v0.0.0\n\n"
        f"replace github.com/cygni/cygni-go => {GO}\n"
    )
    go(env, "build", "-o", str(tmp_path / "program"), ".", folder=tmp_path)
    without_key = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    said = subprocess.run([tmp_path / "program"], env=without_key, capture_output=True, text=True, timeout=SECONDS)
    assert "CYGNI_API_KEY" in said.stderr
