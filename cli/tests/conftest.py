"""A way to run `cygni`, without a login or against the fake API."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cygni._runtime import behavior
from cygni_cli.context import Context
from cygni_cli.main import run
from tests.fake_api import KEY, FakeApi, usual_routes


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    usual_routes(fake)
    yield fake
    fake.stop()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and no settings of whoever runs the tests."""
    for name in ("CI", "CYGNI_API_KEY", "CYGNI_API_URL", "CYGNI_ENVIRONMENT", "CYGNI_PROJECT", "CYGNI_TEAM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    work = tmp_path / "work"
    # the search for cygni.toml ends here
    subprocess.run(["git", "init", "--quiet", str(work)], check=True)
    monkeypatch.chdir(work)
    monkeypatch.setattr(behavior, "FIRST_DELAY_SECONDS", 0.01)
    return work


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def anonymous(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run `cygni` in this process, without a login."""

    def invoke(*args: str, interactive: bool = False) -> Ran:
        capsys.readouterr()
        code = run(args, Context(interactive=interactive))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return invoke


@pytest.fixture
def cygni(anonymous: Callable[..., Ran], api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """The same with a key for the fake."""
    monkeypatch.setenv("CYGNI_API_KEY", KEY)
    monkeypatch.setenv("CYGNI_API_URL", api.url)
    return anonymous
