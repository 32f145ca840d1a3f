"""Workspaces of uv: the lock file lies above the app that is built."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from cygnid.build.base import BuildSettings, Plan
from cygnid.build.detect import MemoryFiles, detect
from tests.build.harness import Workshop, workshop
from tests.build.releases import run_release
from tests.build.test_process_builder import PYPI

FILES = {
    "libs/pyproject.toml": "[tool.uv.workspace]\nmembers = ['*']\n",
    "libs/shop/pyproject.toml": (
        "[project]\nname = 'shop'\nversion = '1'\nrequires-python = '>=3.11'\ndependencies = ['six', 'words']\n"
        "[tool.uv.sources]\nwords = { workspace = true }\n"
    ),
    "libs/shop/app.py": "import six, words, os\nprint(words.SAID, six.PY3, os.environ['PORT'])\n",
    "libs/words/pyproject.toml": (
        "[project]\nname = 'words'\nversion = '1'\nrequires-python = '>=3.11'\n"
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
        "[tool.setuptools]\npy-modules = ['words']\n"
    ),
    "libs/words/words.py": "SAID = 'hello'\n",
}
SHOP = BuildSettings(root_dir="libs/shop")
LOCK = 'version = 1\n[[package]]\nname = "six"\n[[package]]\nname = "words"\n[[package]]\nname = "shop"\n'


def plan_of(files: dict[str, str]) -> Plan:
    available = {"python": ["3.11.7", "3.12.4"]}
    return detect(MemoryFiles(files), SHOP, framework=None, available=available)


def test_the_lock_of_the_workspace_is_installed_by() -> None:
    plan = plan_of({**FILES, "libs/uv.lock": LOCK, "libs/.python-version": "3.11\n"})
    assert (plan.install_command, plan.install_key) == ("uv sync --frozen --no-dev", None)
    assert plan.toolchain == "python-3.11.7"
    assert any("uv.lock is that of the workspace in libs" in reason for reason in plan.reasons)
    assert plan_of({**FILES, "uv.lock": LOCK}).install_command == "uv sync --frozen --no-dev"


@pytest.fixture
async def shop() -> AsyncIterator[Workshop]:
    async with workshop() as shop:
        yield shop


@PYPI
async def test_an_app_of_a_workspace_is_built_and_runs(shop: Workshop, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    subprocess.run([find_uv_bin(), "lock", "-q"], cwd=tmp_path / "libs", check=True)
    files = {**FILES, "libs/uv.lock": (tmp_path / "libs" / "uv.lock").read_text()}
    artifact = await shop.builder.build(shop.request(files, settings=SHOP))
    assert (await run_release(shop, artifact, "cd libs/shop && python app.py")).split() == ["hello", "True", "8000"]
