"""Languages are found by asking them."""

import os
import sys
from pathlib import Path

from cygnid.build.toolchains import Toolchain, find


def program(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    path.chmod(0o755)


def test_the_python_that_runs_this_is_found_and_says_its_version() -> None:
    ours = find("python", str(Path(sys.executable).parent))
    assert [chain.version for chain in ours] == [sys.version.split()[0]]
    assert ours[0].python.exists()


def test_programs_that_do_not_answer_are_left_out(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3", "exit 1")
    program(tmp_path / "bin" / "python3.12", "echo nonsense")
    program(tmp_path / "bin" / "python3-config", "echo 3.12.1")
    assert find("python", str(tmp_path / "bin")) == []


def test_node_of_the_machine_comes_before_that_of_the_wheel(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "node", "echo v21.7.3")
    program(tmp_path / "bin" / "npm", "")
    nodes = find("node", str(tmp_path / "bin"))
    assert nodes == [Toolchain(language="node", version="21.7.3", root=tmp_path, bin=tmp_path / "bin")]


def test_node_without_npm_is_no_toolchain(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "node", "echo v21.7.3")
    assert "21.7.3" not in [chain.version for chain in find("node", str(tmp_path / "bin"))]


def test_one_version_may_be_in_two_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        program(tmp_path / name / "bin" / "node", "echo v21.7.3")
        program(tmp_path / name / "bin" / "npm", "")
    found = find("node", f"{tmp_path / 'a' / 'bin'}:{tmp_path / 'b' / 'bin'}:{tmp_path / 'a' / 'bin'}")
    assert [chain.root for chain in found] == [tmp_path / "a", tmp_path / "b"]


def test_a_program_is_asked_once_until_it_changes(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    for version in ("1.2.3", "1.2.4"):
        program(tmp_path / "bin" / "deno", f"echo {version} >> {asked}", f"echo deno {version}")
        os.utime(tmp_path / "bin" / "deno", (1, int(version[-1])))
        for _ in range(3):
            assert [chain.version for chain in find("deno", str(tmp_path / "bin"))] == [version]
    assert asked.read_text().split() == ["1.2.3", "1.2.4"]


def test_the_stand_ins_of_a_version_manager_are_not_asked(tmp_path: Path) -> None:
    program(tmp_path / "shims" / "ruby", "echo 3.3.1")
    program(tmp_path / "cargo" / "rustc", "echo rustc 1.80.0")
    for name in ("cargo", "rustup"):
        program(tmp_path / "cargo" / name, "")
    assert find("ruby", str(tmp_path / "shims")) == []
    assert find("rust", str(tmp_path / "cargo")) == []


def test_languages_that_say_their_version_in_a_file_are_not_run(tmp_path: Path) -> None:
    program(tmp_path / "go" / "bin" / "go", "exit 1")
    (tmp_path / "go" / "VERSION").write_text("go1.24.1\ntime 2025-03-04T00:00:00Z\n")
    program(tmp_path / "jdk" / "bin" / "javac", "exit 1")
    (tmp_path / "jdk" / "release").write_text('IMPLEMENTOR="x"\nJAVA_VERSION="21.0.2"\n')
    assert [(c.version, c.root) for c in find("go", str(tmp_path / "go/bin"))] == [("1.24.1", tmp_path / "go")]
    assert [(c.version, c.root) for c in find("java", str(tmp_path / "jdk/bin"))] == [("21.0.2", tmp_path / "jdk")]
