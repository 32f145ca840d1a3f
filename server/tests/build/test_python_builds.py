"""Real installations by each package manager's files, from the index that this machine uses."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.build.harness import Workshop, workshop
from tests.build.test_process_builder import PYPI, run_release

WHEEL = "sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"
SDIST = "sha256:1e61c37477a1626458e36f7b1d82aa5c9b094fa4802892072e49de9c4c4c9926"
POETRY = f"""
[[package]]
name = "six"
version = "1.16.0"
optional = false
python-versions = ">=2.7"
files = [{{file = "six-1.16.0-py2.py3-none-any.whl", hash = "{WHEEL}"}}, {{file = "six.tar.gz", hash = "{SDIST}"}}]
"""
PIPENV = {"_meta": {}, "default": {"six": {"version": "==1.16.0", "hashes": [WHEEL, SDIST]}}}
WAYS = {
    "poetry": {
        "pyproject.toml": '[tool.poetry]\nname = "shop"\n[tool.poetry.dependencies]\npython = "*"\nsix = "^1.16"\n',
        "poetry.lock": POETRY,
    },
    "poetry without a lock": {
        "pyproject.toml": '[tool.poetry]\nname = "shop"\n[tool.poetry.dependencies]\npython = "*"\nsix = "~1.16.0"\n',
    },
    "pipenv": {"Pipfile": '[packages]\nsix = "*"\n', "Pipfile.lock": json.dumps(PIPENV)},
    "setup.py": {"setup.py": "from setuptools import setup\nsetup(name='shop', install_requires=['six==1.16.0'])\n"},
    "pip-tools": {"requirements.txt": f"six==1.16.0 --hash={WHEEL} --hash={SDIST}\n", "requirements.in": "six\n"},
}


@pytest.fixture
async def shop() -> AsyncIterator[Workshop]:
    async with workshop() as shop:
        yield shop


@PYPI
async def test_every_way_installs_the_same(shop: Workshop) -> None:
    for files in WAYS.values():
        artifact = await shop.builder.build(shop.request({**files, "Procfile": "web: x"}))
        said = await run_release(shop, artifact, "python -c 'import six; print(six.__version__)'")
        assert said == "1.16.0\n"


@PYPI
async def test_what_has_another_hash_than_the_lock_says_is_not_installed(shop: Workshop) -> None:
    wrong = {**WAYS["poetry"], "poetry.lock": POETRY.replace("8abb2f1d", "00000000").replace("1e61c374", "00000000")}
    with pytest.raises(Exception, match="exit code"):
        await shop.builder.build(shop.request({**wrong, "Procfile": "web: x"}))
    assert "hash" in shop.log.lower()
