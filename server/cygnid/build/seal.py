"""From what a build left behind to a release that nobody can change."""

import errno
import fcntl
import gzip
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import zstandard

from cygnid.build.base import BuildFailed
from cygnid.build.threads import go_on

_SHORTEST_SECRET = 8
_AT_ONCE = 16 << 20
_MAX_LINKED = 50_000
_TEXT = (".html", ".css", ".js", ".mjs", ".json", ".svg", ".xml", ".txt", ".map", ".webmanifest", ".wasm", ".ico")
_COMPRESS_FROM, _COMPRESS_TO, _COMPRESS_TOTAL = 1 << 10, 8 << 20, 64 << 20
_MAX_DEPTH, _MAX_PATH_BYTES, _MAX_NAME_BYTES = 200, 4000, 255
"""A path has less than 4096 bytes (PATH_MAX): what is nested deeper is out of reach."""


def copy_tree(source: Path, target: Path, *, uid: int | None, leave_out: frozenset[str] = frozenset()) -> None:
    """Copy files, folders and links to the new folder `target`, owned by `uid`. `leave_out` names entries by their
    path in the source."""

    def copy(folder: Path, prefix: str) -> None:
        here = target / prefix
        here.mkdir(mode=0o755)
        if uid is not None:
            os.chown(here, uid, uid)
        with os.scandir(folder) as entries:
            for entry in entries:
                go_on()
                name = f"{prefix}{entry.name}"
                if name in leave_out:
                    continue
                to = target / name
                if entry.is_symlink():
                    to.symlink_to(os.readlink(entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    copy(Path(entry.path), f"{name}/")
                    continue
                elif entry.is_file(follow_symlinks=False):
                    _copy_file(entry.path, to)
                else:
                    continue
                if uid is not None:
                    os.chown(to, uid, uid, follow_symlinks=False)

    copy(source, "")


def _copy_file(source: str, target: Path) -> None:
    with open(source, "rb") as from_file, target.open("xb") as to_file:
        info = os.fstat(from_file.fileno())
        left, offset = info.st_size, 0
        while left:
            go_on()
            try:
                done = os.copy_file_range(from_file.fileno(), to_file.fileno(), min(left, _AT_ONCE), offset)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                done = to_file.write(os.pread(from_file.fileno(), 1 << 20, offset))
                to_file.flush()
            if not done:
                break
            left -= done
            offset += done
        os.fchmod(to_file.fileno(), 0o755 if info.st_mode & 0o111 else 0o644)


def seal(folder: Path, *, for_overlay: bool = False) -> int:
    """Take every write permission, as root also the ownership; what is no file, folder or link is deleted. Nothing
    of the build may still run. `for_overlay` leaves the owner's write permission, which an app has over its own copy:
    instances see the release below a disposable overlay and as theirs. Returns the size in bytes."""
    write = 0o200 if for_overlay else 0
    size = 0
    owner = os.geteuid()
    for path, info in _walk(folder):
        mode = info.st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            path.unlink()
            continue
        if info.st_uid != owner:
            os.chown(path, owner, os.getegid(), follow_symlinks=False)
        if stat.S_ISLNK(mode):
            continue
        wanted = write | (0o555 if stat.S_ISDIR(mode) or mode & 0o111 else 0o444)
        if stat.S_IMODE(mode) != wanted:
            path.chmod(wanted)
        if stat.S_ISREG(mode):
            size += info.st_size
    return size


def _walk(folder: Path, depth: int = 0) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below and the folder itself, contents before their folder; links are not followed. A folder that
    its builder closed is opened first. Raises BuildFailed when folders are nested too deeply."""
    if depth > _MAX_DEPTH or len(os.fsencode(folder)) + _MAX_NAME_BYTES > _MAX_PATH_BYTES:
        raise BuildFailed(
            "build_error",
            f"The build made folders that are nested too deeply: …/{folder.name[:100]}",
            hint=f"There may be {_MAX_DEPTH} levels, and paths of nearly {_MAX_PATH_BYTES} bytes.",
        )
    info = folder.lstat()
    if info.st_mode & 0o700 != 0o700:
        folder.chmod(0o755)
    with os.scandir(folder) as entries:
        for entry in entries:
            go_on()
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), depth + 1)
            else:
                yield Path(entry.path), entry.stat(follow_symlinks=False)
    yield folder, info


def finish_static(folder: Path, clock: Path) -> None:
    """Make a static release safe and quick to serve, before it is sealed: links are replaced by what they lead to,
    since file servers follow none; text files have compressed neighbours; and every file has one new modification
    time, since file servers derive the ETag from time and size: two releases with equal ones would answer each other's
    304. `clock` keeps the last time given out. Raises BuildFailed naming a link that leads out."""
    _replace_links(folder)
    budget = _COMPRESS_TOTAL
    files = 0
    for path, info in list(_walk(folder)):
        if stat.S_ISREG(info.st_mode):
            files += 1
            go_on()
            if path.suffix in _TEXT and _COMPRESS_FROM <= info.st_size <= min(_COMPRESS_TO, budget):
                budget -= info.st_size
                _compress(path)
    if not files:
        raise BuildFailed("build_error", "The site has no files.", hint="Check the output folder and the build's log.")
    now = _next_second(clock)
    for path, _ in _walk(folder):
        os.utime(path, (now, now))


def _replace_links(folder: Path) -> None:
    """By hard links to what they lead to, or of a folder by one of its kind with hard links in it."""
    root = folder.resolve()
    left = _MAX_LINKED
    targets: dict[Path, Path] = {}
    for path, info in _walk(root):
        if stat.S_ISLNK(info.st_mode):
            try:
                targets[path] = path.resolve(strict=True)
            except (OSError, RuntimeError):
                raise _bad_link(path.relative_to(root)) from None
            if not targets[path].is_relative_to(root) or path.is_relative_to(targets[path]):
                raise _bad_link(path.relative_to(root))

    def put(target: Path, at: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0 or target.is_symlink():
            raise _bad_link(at.relative_to(root))
        if not target.is_dir():
            os.link(target, at)
            return
        at.mkdir(mode=0o755)
        for below in list(target.iterdir()):
            put(below, at / below.name)

    # those to files first: none is then in a folder that another leads to
    for path, target in sorted(targets.items(), key=lambda item: item[1].is_dir()):
        path.unlink()
        put(target, path)


def _bad_link(path: Path) -> BuildFailed:
    return BuildFailed(
        "build_error",
        f"The site has a link that leaves it, leads nowhere or to too much: {path}",
        hint="Put the file itself there.",
    )


def _compress(path: Path) -> None:
    content = path.read_bytes()
    for suffix, packed in (
        (".gz", gzip.compress(content, 9, mtime=0)),
        (".zst", zstandard.compress(content, 12)),
    ):
        beside = path.with_name(path.name + suffix)
        fits = len(os.fsencode(beside.name)) <= _MAX_NAME_BYTES
        if fits and len(packed) < len(content) * 0.95 and not os.path.lexists(beside):
            beside.write_bytes(packed)


def _next_second(clock: Path) -> int:
    """Now in whole seconds, or the first second after the last one that was given out."""
    with clock.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        now = max(int(time.time()), int(file.read() or 0) + 1)
        file.seek(0)
        file.truncate()
        file.write(str(now))
        file.flush()
    return now


def refuse_secrets(folder: Path, secrets: Mapping[str, str]) -> None:
    """Raises BuildFailed naming the file that holds a secret's value. Values of less than 8 bytes are not searched
    for: they would be found everywhere."""
    wanted = {key: value.encode() for key, value in secrets.items() if len(value.encode()) >= _SHORTEST_SECRET}
    if not wanted:
        return
    overlap = max(map(len, wanted.values())) - 1
    for path, info in _walk(folder):
        if not stat.S_ISREG(info.st_mode):
            continue
        with path.open("rb") as file:
            tail = b""
            while chunk := file.read(1 << 20):
                go_on()
                window = tail + chunk
                for key, value in wanted.items():
                    if value in window:
                        raise BuildFailed(
                            "build_error",
                            f"The value of the secret {key} is in the release: {path.relative_to(folder)}",
                            hint=f"Read {key} when the app runs instead, or make it a plain variable if it is public.",
                        )
                tail = window[-overlap:]
