import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from cygni import AsyncCygniClient
from tests.make.api import Api
from tests.make.worker import Installation, installed


@pytest.fixture
async def site(api: Api) -> AsyncGenerator[Installation]:
    """An installation that deploys, with a leader and one worker."""
    with tempfile.TemporaryDirectory(prefix="cygni-machine-") as folder:
        async with installed(api, Path(folder)) as made:
            yield made


@pytest.fixture
async def ada(api: Api) -> AsyncCygniClient:
    """Owner of the first team."""
    return await api.owner()
