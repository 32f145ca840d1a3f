import os
from pathlib import Path

import pytest

from .languages import ALL, Language, NotHere, languages
from .scenario import Scenario, scenarios


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run, the same for all of its workers."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("language", languages(), ids=lambda language: language.name)
def test_conformance(language: Language, scenario: Scenario, shared: Path, tmp_path: Path) -> None:
    try:
        command = language.prepare(shared)
    except NotHere as reason:
        pytest.skip(f"{language.name}: {reason}")
    found = scenario.play(language, command, tmp_path)
    assert not found, "\n".join(found)


def test_every_sdk_takes_part() -> None:
    assert [language.name for language in languages()] == ["go", "node", "python", "ruby"]


def test_a_missing_toolchain_is_a_failure_only_where_all_are_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    language = Language("none", ["a-program-that-nobody-has"], [], ["never"])
    monkeypatch.delenv(ALL, raising=False)
    with pytest.raises(NotHere, match="a-program-that-nobody-has is not installed"):
        language.prepare(tmp_path)
    monkeypatch.setenv(ALL, "1")
    with pytest.raises(AssertionError, match="none: a-program-that-nobody-has is not installed"):
        language.prepare(tmp_path)


def test_every_name_is_used_once() -> None:
    names = [scenario.name for scenario in scenarios()]
    assert len(names) == len(set(names)) >= 100
