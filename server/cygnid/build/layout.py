"""Where the process builder keeps what: everything is made in a `.work-` folder and appears by one rename."""

import asyncio
import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

_WORK = ".work-"
_MADE = ("artifacts", "dependencies")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is known of an artifact beside its files."""

    size_bytes: int
    dependencies: str | None
    """The shared installation it was built with."""
    fallback: str | None


class Layout:
    """The folders, all below the platform's own:

    artifacts/<project>/<hex>/      release/, artifact.json
    dependencies/<project>/<hex>/   installations that releases of an environment share, also where they are promoted to
    build-cache/<project>/<environment>/
                                    what package managers keep, in folders that belong to the environment's builds
    downloads/<2 hex>/<hex>         what package managers of all projects downloaded, by the SHA-512 of its content
    builds/<build id>/<step>/       sandboxes of running builds
    """

    def __init__(self, data: Path) -> None:
        self.data = data

    def prepare(self) -> None:
        for name in ("artifacts", "dependencies", "build-cache", "downloads", "builds"):
            _folder(self.data / name)

    def artifact(self, project_id: str, digest: str) -> Path:
        return self.data / "artifacts" / project_id / digest

    def dependencies(self, project_id: str, digest: str) -> Path:
        return self.data / "dependencies" / project_id / digest

    @property
    def all_caches(self) -> Path:
        return self.data / "build-cache"

    def caches(self, project_id: str) -> Path:
        return self.all_caches / project_id

    def cache(self, project_id: str, environment_id: str) -> Path:
        return self.caches(project_id) / environment_id

    @property
    def downloads(self) -> Path:
        return self.data / "downloads"

    def runs(self, build_id: str) -> Path:
        return self.data / "builds" / build_id

    @property
    def clock(self) -> Path:
        return self.data / "artifacts" / ".sealed"

    def work(self, final: Path, build_id: str) -> Path:
        """A new, empty folder beside `final`."""
        _folder(final.parent)
        work = final.with_name(f"{_WORK}{build_id}-{final.name[:16]}")
        work.mkdir(mode=0o711)
        return work

    def works(self, build_id: str) -> list[Path]:
        """What a build was working on."""
        found: list[Path] = []
        for kind in _MADE:
            found += (self.data / kind).glob(f"*/{_WORK}{build_id}-*")
        return found

    def builds(self) -> set[str]:
        """Ids of those that run or have left something."""
        works = [path.name for kind in _MADE for path in (self.data / kind).glob(f"*/{_WORK}*")]
        return {
            *(path.name for path in (self.data / "builds").glob("*")),
            *(name.removeprefix(_WORK).rpartition("-")[0] for name in works),
        }

    def artifacts(self) -> set[tuple[str, str]]:
        """(project, hex)"""
        found = (self.data / "artifacts").glob("*/*")
        return {(path.parent.name, path.name) for path in found if not path.name.startswith(".")}

    def publish(self, work: Path, final: Path) -> bool:
        """False: an equal one appeared meanwhile, `work` is left."""
        try:
            work.rename(final)
        except FileExistsError:
            return False
        except OSError:
            if final.exists():
                return False
            raise
        return True

    def keep(self, work: Path, kept: Kept) -> None:
        (work / "artifact.json").write_text(json.dumps(kept.__dict__), encoding="utf-8")

    def kept(self, project_id: str, digest: str) -> Kept | None:
        try:
            return Kept(**json.loads((self.artifact(project_id, digest) / "artifact.json").read_bytes()))
        except FileNotFoundError:
            return None

    def use_dependencies(self, project_id: str, digest: str) -> Path | None:
        """The shared installation if it is there, marked as used now, so that it is not taken for unused while the
        artifact that needs it is still being built."""
        path = self.dependencies(project_id, digest)
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def unused_dependencies(self, project_id: str, *, idle_seconds: float) -> list[Path]:
        """What no artifact of the project needs and no build has used for so long."""
        artifacts = self.data / "artifacts" / project_id
        needed: set[str | None] = set()
        with contextlib.suppress(FileNotFoundError):
            for folder in artifacts.iterdir():
                kept = self.kept(project_id, folder.name)
                needed.add(kept.dependencies if kept else None)
        before = time.time() - idle_seconds
        try:
            folders = list((self.data / "dependencies" / project_id).iterdir())
        except FileNotFoundError:
            return []
        return [path for path in folders if path.name not in needed and path.stat().st_mtime < before]


def _folder(path: Path) -> None:
    """Open to be passed through, not to be listed: every tenant's user comes through here."""
    path.mkdir(mode=0o711, parents=True, exist_ok=True)


async def remove(*paths: Path) -> None:
    """Delete trees, also sealed ones and ones nested deeper than a path can name. Idempotent."""
    there = [str(path) for path in paths if path.exists()]
    if not there:
        return
    if os.geteuid() != 0:
        await _run("chmod", "-R", "u+rwX", "--", *there)
    await _run("rm", "-rf", "--", *there)


async def _run(*argv: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        raise OSError(f"{argv[0]} failed: {said.decode(errors='replace').strip()[-300:]}")
