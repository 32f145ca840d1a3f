"""The wheel: it builds, installs into an empty environment, and is typed there."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = str(Path(sys.executable).parent / "uv")
PROGRAM = """
import cygni, pathlib
client = cygni.CygniClient("cygp_test", "http://127.0.0.1:9/v1", max_retries=0)
print(cygni.__version__, (pathlib.Path(cygni.__file__).parent / "py.typed").is_file(), client.projects.list.__name__)
try:
    client.projects.get("shop")
except cygni.APIConnectionError as error:
    print(type(error).__name__)
"""


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_the_wheel_installs_and_runs(tmp_path):
    built = run(UV, "build", "--wheel", "--out-dir", str(tmp_path), str(ROOT), cwd=tmp_path)
    if built.returncode and "uv_build" in built.stderr and ("network" in built.stderr or "fetch" in built.stderr):
        pytest.skip("the build backend cannot be fetched here")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"cygni/py.typed", "cygni/types.py", "cygni/resources/projects.py"} <= set(names)
    assert not [name for name in names if "tests" in name or "conformance" in name]
    made = run(UV, "venv", "--python", sys.executable, "venv", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    python = str(tmp_path / "venv/bin/python")
    installed = run(UV, "pip", "install", "--python", python, str(wheel), cwd=tmp_path)
    if installed.returncode and ("fetch" in installed.stderr or "connect" in installed.stderr):
        pytest.skip("the dependencies cannot be fetched here")
    assert installed.returncode == 0, installed.stderr
    ran = run(python, "-I", "-c", PROGRAM, cwd=tmp_path)
    assert ran.stdout.split() == ["0.1.0", "True", "list", "APIConnectionError"], ran.stderr
