"""Installations for tests: started by them, gone without a trace afterwards."""

import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import cygnid
from tests.e2e.harness import Installation


@pytest.fixture(scope="session")
def toolchains() -> Iterator[Path]:
    """What an installation copies for other users to run, copied once."""
    with tempfile.TemporaryDirectory(prefix="cygni-test-tools-") as folder:
        yield Path(folder) / "toolchains"


@contextmanager
def _folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="cygni-test-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def installed(toolchains: Path) -> Iterator[Callable[..., Installation]]:
    """Makes installations, not started yet."""
    with _folder() as folder:
        made: list[Installation] = []

        def make(name: str = "data", **env: str) -> Installation:
            made.append(Installation(folder, toolchains, name, env))
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


@pytest.fixture(scope="module")
def shared(toolchains: Path) -> Iterator[Installation]:
    """One for all tests of a module, whose leases lapse soon, and which asks git servers of this machine often."""
    with _folder() as folder:
        env = {"CYGNI_LEASE_SECONDS": "3", "CYGNI_DEFAULT_PLAN": "enterprise"}
        env |= {"CYGNI_GIT_POLL_SECONDS": "0.5", "CYGNI_ALLOWED_PRIVATE_HOSTS": "127.0.0.1"}
        made = Installation(folder, toolchains, env=env)
        try:
            made.up()
            yield made
        finally:
            made.stop()


@pytest.fixture
def other_build() -> Iterator[Callable[[], dict[str, str]]]:
    """The environment of another build of the platform: a copy of this one with one line more."""
    with _folder() as folder:

        def make() -> dict[str, str]:
            package = Path(cygnid.__file__ or "").parent
            leave_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(package, folder / "server" / "cygnid", ignore=leave_out)
            (folder / "requirements.lock").write_text("another")
            folder.chmod(0o755)
            return {"PYTHONPATH": str(folder / "server")}

        yield make
