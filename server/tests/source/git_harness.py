"""What tests of git share: repositories on a server of their own, and the source that fetches from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.targets import Targets
from cygnid.source.archive import ArchiveSource
from cygnid.source.base import GitRemote, GitSpec, SourceInvalid, SourceUnavailable, Tree
from cygnid.source.git import GitSource
from tests.sandbox.harness import some_uid
from tests.source.git_server import GitServer, Repository

FILES = {"app.py": "print()\n", "templates/index.html": "<h1>ü</h1>"}


@dataclass
class Subject:
    sandbox: Sandbox
    folder: Path
    server: GitServer

    def source(self, **settings: Any) -> GitSource:
        given: dict[str, Any] = {"targets": Targets(["127.0.0.1"]), "uid": some_uid()}
        return GitSource(
            archives=ArchiveSource(), sandbox=self.sandbox, folder=self.folder / "git", **(given | settings)
        )

    def repository(self, name: str = "app.git") -> Repository:
        return Repository.make(self.server.folder / name)

    async def fetch(self, name: str = "app.git", *, source: GitSource | None = None, **spec: Any) -> Tree:
        remote = GitRemote(url=self.server.remote(name))
        given: dict[str, Any] = {"repository": remote} | spec
        if not {"branch", "tag", "commit"} & given.keys():
            given["branch"] = "main"
        into = self.folder / f"tree-{len(list(self.folder.iterdir()))}"
        try:
            return await (source or self.source()).fetch(GitSpec(**given), into)
        finally:
            assert list((self.folder / "git").glob("*")) == [], "what it worked in is gone"
            assert into.exists() or not list(self.folder.glob(into.name))


def contents(tree: Tree) -> dict[str, str]:
    return {str(p.relative_to(tree.path)): p.read_text() for p in tree.path.rglob("*") if p.is_file()}


async def refused(awaitable: Any) -> SourceInvalid | SourceUnavailable:
    with pytest.raises((SourceInvalid, SourceUnavailable)) as error:
        await awaitable
    return error.value
