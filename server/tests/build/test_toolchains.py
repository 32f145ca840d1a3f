"""Languages are found by asking them."""

import sys
from pathlib import Path

from cygnid.build.toolchains import Toolchain, find


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


def test_one_version_may_be_in_two_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        program(tmp_path / name / "bin" / "node", "echo v21.7.3")
        program(tmp_path / name / "bin" / "npm", "")
    found = find(f"{tmp_path / 'a' / 'bin'}:{tmp_path / 'b' / 'bin'}:{tmp_path / 'a' / 'bin'}")
    assert [chain.root for chain in found if chain.language == "node"] == [tmp_path / "a", tmp_path / "b"]
