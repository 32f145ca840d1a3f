"""What package managers downloaded, shared by all projects: files under the hash of their content."""

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

from cygnid.build.detect.language import Download
from cygnid.build.threads import go_on

_CHUNK = 1 << 20


class Downloads:
    """`folder` is the platform's alone. Builds see neither it nor a list of it: what one has downloaded is copied here
    once it is found to have the hash that it is kept under, and another build is lent, for reading, what its own lock
    file names. So a build can add files, but none that another takes for something else."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def lend(self, wanted: Sequence[Download], cache: Path, into: Path) -> int:
        """Make the folder `into` with those that are here and not yet in `cache`, at their paths in a cache; how many.
        They stay readable there whatever is evicted meanwhile. Without any, no folder is made."""
        lent = 0
        for download in wanted:
            go_on()
            if os.path.lexists(cache / download.path):
                continue
            kept, target = self._path(download), into / download.path
            try:
                target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                os.link(kept, target)
                os.utime(kept)  # the longest unused are evicted first
            except FileNotFoundError:
                continue
            lent += 1
        return lent

    def take_in(self, wanted: Sequence[Download], cache: Path) -> int:
        """Copy what is in `cache` and not here; how many. Whatever is not what its hash says is left out."""
        taken = 0
        for download in wanted:
            go_on()
            kept = self._path(download)
            if kept.exists():
                continue
            with _opened(cache, download.path) as source:
                taken += source is not None and self._copy(source, download, kept)
        if taken:
            self._trim()
        return taken

    def _path(self, download: Download) -> Path:
        return self._folder / download.sha512[:2] / download.sha512

    def _copy(self, source: int, download: Download, kept: Path) -> bool:
        """The bytes that are hashed are the ones that are written: the source may change meanwhile."""
        kept.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        digest = hashlib.sha512()
        file, name = tempfile.mkstemp(prefix=".new-", dir=kept.parent)
        try:
            with open(file, "wb") as target:
                while chunk := os.read(source, _CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
            if digest.hexdigest() != download.sha512:
                return False
            os.chmod(name, 0o644)
            os.rename(name, kept)
            return True
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)

    def _trim(self) -> None:
        """Evict the longest unused until the rest fits."""
        found: list[tuple[float, int, str]] = []
        for folder in self._folder.iterdir():
            with contextlib.suppress(NotADirectoryError), os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        about = entry.stat()
                        found.append((about.st_mtime, about.st_blocks * 512, entry.path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._max_bytes:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= size


@contextlib.contextmanager
def _opened(top: Path, path: str) -> Generator[int | None]:
    """The regular file at `path` below `top`, opened for reading; None where there is none. The folders between belong
    to a tenant, who may have put links in place of them."""
    *folders, name = path.split("/")
    with contextlib.ExitStack() as stack:

        def step(name: str, flags: int, folder: int | None) -> int:
            opened = os.open(name, flags | os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
            stack.callback(os.close, opened)
            return opened

        try:
            at = step(str(top), os.O_DIRECTORY, None)
            for folder in folders:
                at = step(folder, os.O_DIRECTORY, at)
            file: int | None = step(name, 0, at)
        except OSError:  # not there, or a link, or no folder, or a socket
            file = None
        if file is not None and not stat.S_ISREG(os.fstat(file).st_mode):
            file = None
        yield file
