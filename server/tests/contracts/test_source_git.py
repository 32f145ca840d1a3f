"""What every Source promises of git, held against real git behind a real server, and the fake."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from cygnid.sandbox.launch import Sandbox
from cygnid.source.base import GitRemote, GitSpec, Source, SourceInvalid, SourceUnavailable, Tree
from tests.fakes.source import FakeRepository, FakeSource
from tests.source.conftest import sandbox, stage
from tests.source.conftest import subject as served
from tests.source.git_harness import Subject as Served
from tests.source.git_server import Repository

__all__ = ["sandbox", "served", "stage"]


@dataclass
class Subject:
    source: Source
    repository: Repository | FakeRepository
    remote: GitRemote
    folder: Path

    def commit(self, files: Mapping[str, str], ref: str = "refs/heads/main") -> str:
        if isinstance(self.repository, FakeRepository):
            return self.repository.commit(files, ref)
        return self.repository.commit(files, ref=ref)

    async def fetch(self, name: str = "tree", **spec: str) -> Tree:
        return await self.source.fetch(GitSpec(repository=self.remote, **spec), self.folder / name)


@pytest.fixture(params=["git", "fake"])
def subject(request: pytest.FixtureRequest, served: Served, sandbox: Sandbox) -> Subject:
    remote = GitRemote(url=served.server.remote("app.git"))
    if request.param == "git":
        return Subject(served.source(), served.repository(), remote, served.folder)
    fake = FakeSource()
    repository = fake.repositories[remote.url] = FakeRepository()
    return Subject(fake, repository, remote, served.folder)


async def test_a_branch_is_its_newest_commit(subject: Subject) -> None:
    subject.commit({"old": "1"})
    sha = subject.commit({"app.py": "2", "x/y": "3"})
    tree = await subject.fetch(branch="main")
    found = {str(p.relative_to(tree.path)): p.read_text() for p in tree.path.rglob("*") if p.is_file()}
    assert found == {"app.py": "2", "x/y": "3"}
    assert tree.commit is not None
    assert (tree.commit.sha, tree.commit.author_name, tree.files) == (sha, "Ada", 2)


async def test_a_commit_stays_itself(subject: Subject) -> None:
    first = subject.commit({"a": "1"})
    second = subject.commit({"a": "2"})
    old, new = await subject.fetch("old", commit=first), await subject.fetch("new", commit=second, branch="main")
    assert ((old.path / "a").read_text(), (new.path / "a").read_text()) == ("1", "2")
    assert old.digest != new.digest


async def test_equal_trees_have_equal_digests(subject: Subject) -> None:
    first = subject.commit({"a": "1"})
    subject.commit({"a": "2"})
    third = subject.commit({"a": "1"})
    one, three = await subject.fetch("1", commit=first), await subject.fetch("3", commit=third)
    assert first != third
    assert one.digest == three.digest


async def test_what_has_changed_is_told_when_asked(subject: Subject) -> None:
    first = subject.commit({"a": "1", "b": "1"})
    subject.commit({"a": "2", "c": "1"})
    assert (await subject.fetch(branch="main", since=first)).changed == {"a", "b", "c"}
    assert (await subject.fetch("2", branch="main")).changed is None
    assert (await subject.fetch("3", branch="main", since="f" * 40)).changed is None


async def test_heads_are_those_that_are_there(subject: Subject) -> None:
    main, other = subject.commit({"a": "1"}), subject.commit({"a": "2"}, "refs/heads/x/y")
    heads = await subject.source.heads(subject.remote, ["main", "x/y", "y", "nothing"], name="look")
    assert heads.shas == {"main": main, "x/y": other}


async def test_what_is_missing_leaves_nothing(subject: Subject) -> None:
    subject.commit({"a": "1"})
    for spec in ({"branch": "nothing"}, {"tag": "v1"}, {"commit": "f" * 40}):
        with pytest.raises(SourceInvalid):
            await subject.fetch(**spec)
        assert not (subject.folder / "tree").exists()


async def test_a_repository_that_does_not_answer(subject: Subject) -> None:
    subject.remote = GitRemote(url="http://127.0.0.1:9/app.git")
    with pytest.raises(SourceUnavailable):
        await subject.fetch(branch="main")
    with pytest.raises(SourceUnavailable):
        await subject.source.heads(subject.remote, ["main"], name="look")
