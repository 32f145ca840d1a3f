import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.make.api import Api
from tests.make.stage import Stage, staged


@pytest.fixture
async def stage(api: Api) -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="cygni-machine-") as folder:
        async with staged(api, Path(folder)) as made:
            yield made
