import subprocess
import sys
from pathlib import Path

import tomllib

import cygni


def test_the_version_is_the_packages():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert cygni.__version__ == project["version"]


def test_all_that_is_promised_is_there():
    assert {name for name in cygni.__all__ if not hasattr(cygni, name)} == set()
    assert cygni.AsyncCygniClient.__module__ == "cygni._async_client"


def test_importing_it_loads_no_http_library():
    code = "import cygni, sys; print(sorted({'httpx2', 'asyncio', 'pathspec', 'tarfile'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"
