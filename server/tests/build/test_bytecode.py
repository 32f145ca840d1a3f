"""An app's modules are compiled once, and what is no Python stops nothing."""

import subprocess
import sys
from pathlib import Path

from cygnid.build import bytecode


def run(*arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


def compiled(folder: Path) -> None:
    text = Path(bytecode.__file__).read_text()
    run("-I", "-S", "-W", "ignore", "-c", text, folder, ".venv", cwd=folder)


def test_modules_are_not_compiled_again_whatever_their_times(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "module.py").write_text("x = 1\n")
    compiled(tmp_path)
    (tmp_path / "deep" / "module.py").write_text("x = 2  # only a look into the bytecode gives 1\n")
    assert run("-c", "import deep.module; print(deep.module.x)", cwd=tmp_path) == "1"


def test_what_is_no_python_of_this_version_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("pattern = '\\d'\n")
    (tmp_path / "old.py").write_text("print 'two'\n")
    (tmp_path / "binary.py").write_bytes(b"\0\xff")
    (tmp_path / "nowhere.py").symlink_to("missing.py")
    compiled(tmp_path)
    assert [path.name.split(".")[0] for path in (tmp_path / "__pycache__").iterdir()] == ["good"]


def test_installations_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "module.py").write_text("x = 1\n")
    compiled(tmp_path)
    assert [path.name for path in (tmp_path / ".venv").iterdir()] == ["module.py"]
