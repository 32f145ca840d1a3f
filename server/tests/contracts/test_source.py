"""What every Source promises, held against the real one and its fake."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from cygnid.source.archive import ArchiveSource
from cygnid.source.base import ArchiveSpec, Source, SourceInvalid, SourceUnavailable
from tests.fakes.source import FakeSource
from tests.source.archives import pack, spec_of


@dataclass
class Subject:
    source: Source
    folder: Path

    def upload(self, files: Mapping[str, str], name: str = "upload") -> ArchiveSpec:
        spec = spec_of(self.folder / name, pack(files))
        if isinstance(self.source, FakeSource):
            self.source.trees[spec.sha256] = files
        return spec


@pytest.fixture(params=["archive", "fake"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    return Subject(ArchiveSource() if request.param == "archive" else FakeSource(), tmp_path)


async def test_the_tree_holds_the_files(subject: Subject) -> None:
    files = {"app.py": "print()\n", "templates/index.html": "<h1>ü</h1>"}
    tree = await subject.source.fetch(subject.upload(files), subject.folder / "tree")
    assert {str(p.relative_to(tree.path)): p.read_text() for p in tree.path.rglob("*") if p.is_file()} == files
    assert (tree.path, tree.files, tree.size_bytes) == (subject.folder / "tree", 2, 19)
    assert tree.digest.startswith("sha256:")


async def test_equal_trees_have_equal_digests(subject: Subject) -> None:
    files = {"a": "1", "b/c": "2"}
    fetch = subject.source.fetch
    one = await fetch(subject.upload(files, "one"), subject.folder / "1")
    two = await fetch(subject.upload(dict(reversed(files.items())), "two"), subject.folder / "2")
    other = await fetch(subject.upload({"a": "1", "b/c": "3"}, "three"), subject.folder / "3")
    assert one.digest == two.digest != other.digest


@pytest.mark.parametrize("content", [b"", b"no archive"])
async def test_what_is_no_archive_is_invalid_and_leaves_nothing(subject: Subject, content: bytes) -> None:
    spec = spec_of(subject.folder / "upload", content)
    with pytest.raises(SourceInvalid):
        await subject.source.fetch(spec, subject.folder / "tree")
    assert not (subject.folder / "tree").exists()


async def test_an_upload_that_is_gone_is_unavailable(subject: Subject) -> None:
    spec = subject.upload({"a": "1"})
    spec.path.unlink()
    with pytest.raises(SourceUnavailable):
        await subject.source.fetch(spec, subject.folder / "tree")
    assert not (subject.folder / "tree").exists()


async def test_a_folder_that_is_there_already_is_not_touched(subject: Subject) -> None:
    (subject.folder / "tree").mkdir()
    (subject.folder / "tree" / "mine").write_text("")
    with pytest.raises(SourceUnavailable):
        await subject.source.fetch(subject.upload({"a": "1"}), subject.folder / "tree")
    assert (subject.folder / "tree" / "mine").exists()
