"""Doors for tests: the sandbox is the module's, everything behind it is the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cygnid.sandbox.launch import Sandbox
from tests.git.harness import Door, opened
from tests.make.api import Api, api_of
from tests.sandbox.harness import some_uid, staged


@pytest.fixture(scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with staged() as stage:
        yield await stage.open()


@pytest.fixture
async def api(database_url: str, open_folder: Path) -> AsyncIterator[Api]:
    """In a data folder that the users of sandboxes may pass through."""
    home = open_folder / "data"
    home.mkdir()
    home.chmod(0o711)
    async with api_of(database_url, home) as made:
        yield made


@pytest.fixture
async def door(api: Api, sandbox: Sandbox, open_folder: Path) -> AsyncIterator[Door]:
    async with opened(api, sandbox, open_folder, uid=some_uid()) as made:
        yield made
