"""The tests of this package on the oldest Python that it promises."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = str(Path(sys.executable).parent / "uv")
OF_THE_CHECKOUT = ("test_install.py", "test_oldest.py", "test_package.py")


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=600)


def find(version: str) -> str | None:
    """Of pyenv before what is on the path, where pyenv's own name for a version may refuse to run."""
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    return str(kept[-1]) if kept else shutil.which(f"python{version}")


def test_on_the_oldest_python(tmp_path):
    promised = re.search(r'requires-python = ">=(3\.\d+)"', (ROOT / "pyproject.toml").read_text())[1]
    interpreter = find(promised)
    if interpreter is None:
        pytest.skip(f"Python {promised} is not installed")
    python = str(tmp_path / "venv/bin/python")
    assert run(UV, "venv", "--python", interpreter, "venv", cwd=tmp_path).returncode == 0
    packages = ("httpx2", "pathspec", "pytest", "pytest-asyncio")
    installed = run(UV, "pip", "install", "--python", python, *packages, cwd=tmp_path)
    if installed.returncode and ("fetch" in installed.stderr or "connect" in installed.stderr):
        pytest.skip("the dependencies cannot be fetched here")
    assert installed.returncode == 0, installed.stderr
    settings = ("-c", "/dev/null", "--rootdir", str(ROOT), "-o", "asyncio_mode=auto", "-o", f"pythonpath={ROOT}")
    left_out = [word for name in OF_THE_CHECKOUT for word in ("--ignore", str(ROOT / "tests" / name))]
    tests = ("--import-mode=importlib", "-p", "no:cacheprovider", str(ROOT / "tests"))
    ran = run(python, "-B", "-m", "pytest", "-q", *settings, *left_out, *tests, cwd=ROOT.parent)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr
    assert int(re.search(r"(\d+) passed", ran.stdout)[1]) > 100
