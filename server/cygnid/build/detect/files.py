"""The read-only view of a source tree that detection works on. The tree is hostile: reads are small and stay inside."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

MAX_BYTES = 1 << 20
"""More than any configuration file worth reading; of a longer one only this much is seen."""


class Files(Protocol):
    def read(self, name: str) -> str | None:
        """The text of the file, or None where there is none."""
        ...

    def names(self, folder: str = "") -> Sequence[str]:
        """Sorted names of the files and folders in `folder`; [] where there is none."""
        ...


class FolderFiles:
    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> str | None:
        path = self._root / name
        try:
            if not path.is_file() or not path.resolve().is_relative_to(self._root.resolve()):
                return None
            with path.open("rb") as file:
                return file.read(MAX_BYTES).decode("utf-8-sig", "replace")
        except OSError:
            return None

    def names(self, folder: str = "") -> Sequence[str]:
        path = self._root / folder
        try:
            if not path.resolve().is_relative_to(self._root.resolve()):
                return []
            return sorted(os.listdir(path))
        except OSError:
            return []


class MemoryFiles:
    """A tree given as path → text."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def read(self, name: str) -> str | None:
        return self._files.get(name)

    def names(self, folder: str = "") -> Sequence[str]:
        prefix = f"{folder}/" if folder else ""
        return sorted({p[len(prefix) :].partition("/")[0] for p in self._files if p.startswith(prefix)})


class Below:
    """The same view, of one folder in it."""

    def __init__(self, files: Files, folder: str) -> None:
        self._files, self._folder = files, folder

    def read(self, name: str) -> str | None:
        return self._files.read(f"{self._folder}/{name}")

    def names(self, folder: str = "") -> Sequence[str]:
        return self._files.names(f"{self._folder}/{folder}".rstrip("/"))
