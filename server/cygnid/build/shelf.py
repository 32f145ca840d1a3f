"""What the machine's languages are to builds: versions to choose from, and copies that the users of builds can run."""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cygnid.build import copies, toolchains
from cygnid.build.toolchains import Toolchain

log = logging.getLogger("cygnid.languages")


class Shelf(Mapping[str, Sequence[str]]):
    """Language → its versions on this machine, looked for at each question: what is installed later is there at the
    next build. `into` is the folder that copies are made in, since a language in somebody's home is closed to the
    users that builds run as; None when everything runs as one user."""

    def __init__(self, into: Path | None, find: Callable[[str], Sequence[Toolchain]] = toolchains.find) -> None:
        self._into = into
        self._find = find
        self._refused: set[Path] = set()
        self._copying = threading.Lock()

    def __getitem__(self, language: str) -> Sequence[str]:
        return list(dict.fromkeys(chain.version for chain in self._usable(language)))

    def __iter__(self) -> Iterator[str]:
        return iter(toolchains.LANGUAGES)

    def __len__(self) -> int:
        return len(toolchains.LANGUAGES)

    def take(self, name: str, say: Callable[[str], None]) -> Toolchain:
        """The toolchain `language-version`, readable for others; copied the first time, of which `say` is told.
        Raises copies.Unusable when no place that has it gives a copy that works; it is no longer offered then."""
        language, _, version = name.partition("-")
        reason = copies.Unusable(f"{language} {version} is no longer on this machine")
        for chain in self._usable(language):
            if chain.version != version:
                continue
            try:
                return self._copied(chain, say)
            except copies.Unusable as problem:
                log.warning("%s %s of %s is left out: %s", language, version, chain.root, problem)
                self._refused.add(chain.bin)
                reason = copies.Unusable(f"{language} {version} of {chain.root} is left out: {problem}")
        raise reason

    def _usable(self, language: str) -> list[Toolchain]:
        return [chain for chain in self._find(language) if chain.bin not in self._refused]

    def _copied(self, chain: Toolchain, say: Callable[[str], None]) -> Toolchain:
        if self._into is None:
            return chain
        copied = copies.copy_of(chain, self._into)
        if copied.root.exists():
            return copied
        with self._copying:
            if not copied.root.exists():
                say(f"{chain.language} {chain.version}: copied for builds and apps, once")
            return copies.install(chain, self._into)


def of_this_machine(data: Path) -> Shelf:
    """`data` is the platform's folder."""
    return Shelf(data / "toolchains" if os.geteuid() == 0 else None)
