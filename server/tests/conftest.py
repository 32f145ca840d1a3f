"""What every test of the server can ask for."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.make.api import Api, api_of
from tests.make.database import TestServer, fresh_database

_URL = "CYGNI_TEST_SERVER"
_server = pytest.StashKey[TestServer]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """With several workers the controller starts the server that they share: it outlives each of them."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        _start(session.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    if server := config.stash.get(_server, None):
        os.environ.pop(_URL, None)
        server.stop()


def _start(config: pytest.Config) -> None:
    server = TestServer()
    config.stash[_server] = server
    os.environ[_URL] = server.start()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that every uid can pass through, as a data folder must be; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="cygni-test-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> str:
    """The URL of the test run's database server, as its superuser; its databases come by `database_url`."""
    if _URL not in os.environ:
        _start(request.config)
    return os.environ[_URL]


@pytest.fixture
async def database_url(postgres_server: str) -> AsyncIterator[str]:
    """A migrated, empty database of this test's own."""
    async with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="module")
async def module_database_url(postgres_server: str) -> AsyncIterator[str]:
    """A migrated database that the tests of one module share."""
    async with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """The API in this process, two teams, no rate limits."""
    async with api_of(database_url, tmp_path) as made:
        yield made
