"""A source without archives: trees by the hash of their upload."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from cygnid.source.base import ArchiveSpec, SourceInvalid, SourceUnavailable, Tree


class FakeSource:
    def __init__(self) -> None:
        self.trees: dict[str, Mapping[str, str]] = {}
        """sha256 → name → content; an upload that is not here is invalid."""
        self.fail: SourceInvalid | SourceUnavailable | None = None
        """Raised by the next fetch."""

    async def fetch(self, spec: ArchiveSpec, into: Path) -> Tree:
        try:
            into.mkdir()
        except OSError as error:
            raise SourceUnavailable(str(error)) from error
        try:
            if self.fail is not None:
                failure, self.fail = self.fail, None
                raise failure
            if not spec.path.is_file():
                raise SourceUnavailable("The upload could not be read.")
            files = self.trees.get(spec.sha256)
            if not files:
                raise SourceInvalid("This is not an archive of the type it says.")
            for name, content in files.items():
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                (into / name).write_text(content)
        except BaseException:
            shutil.rmtree(into)
            raise
        digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
        size = sum(len(content.encode()) for content in files.values())
        return Tree(path=into, digest=f"sha256:{digest}", files=len(files), size_bytes=size)
