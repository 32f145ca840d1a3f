from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cygnid.sandbox.launch import Sandbox
from tests.sandbox.harness import Stage, staged
from tests.source.git_harness import Subject
from tests.source.git_server import GitServer


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


@pytest.fixture(scope="module")
async def sandbox(stage: Stage) -> Sandbox:
    return await stage.open()


@pytest.fixture
def subject(sandbox: Sandbox, open_folder: Path) -> Iterator[Subject]:
    (open_folder / "served").mkdir()
    (open_folder / "git").mkdir(mode=0o711)
    with GitServer(open_folder / "served").running() as server:
        yield Subject(sandbox, open_folder, server)
