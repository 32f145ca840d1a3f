"""What is checked in is what the generator makes; `make sdk` writes it anew."""

import pytest

from generator import emit, samples
from generator.read import read

API = read(emit.SDK.parent / "openapi.json", emit.SDK / "behavior.json")
LANGUAGES = {language.name: language for language in emit.languages()}


@pytest.mark.parametrize("name", LANGUAGES)
def test_generated_files_are_fresh_and_unedited(name: str) -> None:
    language = LANGUAGES[name]
    if reason := language.missing():
        pytest.skip(reason)
    changed = emit.differences(language, emit.render(language, API))
    assert not changed, f"run `make sdk` and commit: {', '.join(changed)}"


def test_the_reference_is_fresh() -> None:
    changed = samples.differences(API, list(LANGUAGES.values()))
    assert not changed, f"run `make sdk` and commit: {', '.join(changed)}"


def test_what_is_edited_missing_or_no_longer_made_is_found(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(emit, "SDK", tmp_path)
    files = {"a.py": f"# {emit.MARK}\n", "b.py": f"# {emit.MARK}\n", "c.py": f"# {emit.MARK}\n"}
    language = emit.Language("x", "X", "x", lambda _: files, lambda *_: "", "x")
    emit.write(language, files)
    (tmp_path / "x/a.py").write_text(f"# {emit.MARK}\nedited\n")
    (tmp_path / "x/b.py").unlink()
    (tmp_path / "x/gone.py").write_text(f"# {emit.MARK}\n")
    (tmp_path / "x/by_hand.py").write_text("# mine\n")
    assert emit.differences(language, files) == ["x/a.py", "x/b.py", "x/gone.py"]
    assert emit.write(language, files) == ["x/a.py", "x/b.py", "x/gone.py"]
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["a.py", "b.py", "by_hand.py", "c.py"]


def test_a_file_without_the_mark_is_refused() -> None:
    language = emit.Language("x", "X", "x", lambda _: {"a.py": "pass\n"}, lambda *_: "", "x")
    with pytest.raises(ValueError, match="does not carry the mark"):
        emit.render(language, API)
