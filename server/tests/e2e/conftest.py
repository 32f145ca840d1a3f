"""Installations for tests: started by them, gone without a trace afterwards."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Installation


@pytest.fixture(scope="session")
def toolchains() -> Iterator[Path]:
    """What an installation copies for other users to run, copied once."""
    with tempfile.TemporaryDirectory(prefix="cygni-test-tools-") as folder:
        yield Path(folder) / "toolchains"


@pytest.fixture
def installed(open_folder: Path, toolchains: Path) -> Iterator[Callable[..., Installation]]:
    """Makes installations, not started yet."""
    made: list[Installation] = []

    def make(name: str = "data", **env: str) -> Installation:
        made.append(Installation(open_folder, toolchains, name, env))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def cygni(installed: Callable[..., Installation]) -> Installation:
    """One that runs."""
    made = installed()
    made.up()
    return made
