"""What reads a hostile archive, in a child of its own (`unpacker.py`): archive as standard input, the empty target
folder as working folder.

Every member is judged before the first one is written, by our own rules: `tarfile`'s extraction filters have been
escaped (CVE-2025-4517) and its listing made endless (CVE-2025-8194), so nothing is ever extracted by it, and the parent
kills this process by limits of time, CPU and memory. Links are made last, so no write can go through one.
Imports only the standard library and zstandard.
"""

import hashlib
import os
import resource
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal, TypedDict, cast

CHUNK = 1 << 20
MAX_LINK_HOPS = 40
NAME_BYTES = 255
LEAVE_OUT = "Leave out what can be built or downloaded: node_modules, .venv, build output."
IGNORED = frozenset({".git", "__MACOSX", ".DS_Store"})
"""Never part of an app. A `.git` folder would also run its hooks and fsmonitor when git is called inside the tree."""


class Invalid(Exception):
    def __init__(self, message: str, *, member: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.member, self.hint = message, member, hint


@dataclass(frozen=True)
class Member:
    name: str
    kind: Literal["file", "dir", "link"]
    size: int = 0
    executable: bool = False
    target: str = ""


class Request(TypedDict):
    content_type: Literal["application/gzip", "application/zstd", "application/zip", "application/x-tar"]
    limits: dict[str, int]
    """The fields of ArchiveLimits."""
    uid: int | None


Answer = dict[str, Any]
"""`{digest, files, size_bytes}`, `{error, member, hint}` of a bad archive, or `{unavailable}`."""
Entries = Iterator[tuple[Member, Callable[[], IO[bytes]]]]
"""Members in the archive's order, each with a way to read its content while it is the current one."""


class Bounded:
    """A decompressed stream that refuses to give more than `limit` bytes."""

    def __init__(self, stream: Any, limit: int, why: str) -> None:
        self._stream, self._left, self._why = stream, limit, why

    def read(self, size: int = CHUNK) -> bytes:
        data: bytes = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise Invalid(self._why, hint=LEAVE_OUT)
        return data


def tar_entries(stream: Any) -> Entries:
    import tarfile  # noqa: PLC0415 - a zip does not need it

    class StrictInfo(tarfile.TarInfo):
        @classmethod
        def fromtarfile(cls, tarfile: Any) -> Any:
            # TarFile.next() takes a broken or missing header after the first for the end: a cut archive would deploy.
            try:
                return super().fromtarfile(tarfile)
            except (module.InvalidHeaderError, module.EmptyHeaderError, module.TruncatedHeaderError) as error:
                raise Invalid("The archive is no tar, or cut off.", hint="Pack and upload it again.") from error

    module = cast("Any", tarfile)
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=StrictInfo, errorlevel=2) as archive:
        for info in archive:
            if info.size < 0:
                raise Invalid("The archive has an entry of negative size.", member=info.name)
            if info.isdir():
                member = Member(info.name, "dir")
            elif info.issym():
                member = Member(info.name, "link", target=info.linkname)
            elif info.isreg():
                member = Member(info.name, "file", info.size, bool(info.mode & 0o111))
            elif info.islnk():
                raise Invalid(
                    "The archive has a hard link.", member=info.name, hint="Pack with `tar --hard-dereference`."
                )
            else:
                raise Invalid(
                    "The archive has an entry that is no file, folder or symbolic link.",
                    member=info.name,
                    hint="Leave devices, pipes and sockets out.",
                )

            def content(info: Any = info) -> IO[bytes]:
                return cast("IO[bytes]", archive.extractfile(info))

            yield member, content
            archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue]  it would keep every header in memory


def zip_entries(file: IO[bytes]) -> Entries:
    import zipfile  # noqa: PLC0415 - a tar does not need it

    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            kind = stat.S_IFMT(mode) if info.create_system == 3 else 0
            name = info.filename
            if info.flag_bits & 1:
                raise Invalid("The archive is encrypted.", member=name, hint="Pack it without a password.")
            if "\\" in name:
                raise Invalid(
                    "An entry has a backslash in its name.", member=name, hint="Pack with `/` between folders."
                )
            if info.is_dir():
                yield Member(name, "dir"), lambda: archive.open(info)  # noqa: B023
            elif kind == stat.S_IFLNK:
                if info.file_size > 4096:
                    raise Invalid("A symbolic link's target is too long.", member=name)
                target = archive.read(info).decode("utf-8", "surrogateescape")
                yield Member(name, "link", target=target), lambda: archive.open(info)  # noqa: B023
            elif kind in (0, stat.S_IFREG):
                yield Member(name, "file", info.file_size, bool(mode & 0o111)), lambda: archive.open(info)  # noqa: B023
            else:
                raise Invalid("The archive has an entry that is no file, folder or symbolic link.", member=name)


def entries(file: IO[bytes], content_type: str, limits: dict[str, int]) -> Entries:
    file.seek(0)
    packed = os.fstat(file.fileno()).st_size
    bomb = max(packed * limits["max_ratio"], limits["ratio_free_bytes"])
    too_dense = f"The archive unpacks to more than {limits['max_ratio']} times its size."
    if content_type == "application/zip":
        unpacked = 0
        for member, content in zip_entries(file):
            unpacked += member.size
            if unpacked > bomb:
                raise Invalid(too_dense, member=member.name, hint=LEAVE_OUT)
            yield member, content
        return
    if content_type == "application/gzip":
        import gzip  # noqa: PLC0415

        plain: Any = gzip.GzipFile(fileobj=file)
    elif content_type == "application/x-tar":
        plain = file
    else:
        import zstandard  # noqa: PLC0415

        plain = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file, read_across_frames=True)
    # Headers and padding come on top of the files: up to 3 blocks of 512 bytes for each allowed entry.
    ceiling = limits["max_bytes"] + limits["max_entries"] * 1536 + CHUNK
    why = f"The archive unpacks to more than {limits['max_bytes'] >> 20} MiB."
    if bomb < ceiling:
        ceiling, why = bomb, too_dense
    stream = Bounded(plain, ceiling, why)
    yield from tar_entries(stream)
    while stream.read():  # to the end: the checksum stands there
        pass


def clean_name(name: str, limits: dict[str, int]) -> str:
    """The name without `.` parts, or Invalid. "" is the archive's own root."""
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        raise Invalid("An entry's name is not UTF-8.", member=repr(name)) from None
    if name.startswith("/"):
        raise Invalid("An entry has an absolute name.", member=name, hint="Pack relative to the app's folder.")
    if any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise Invalid("An entry has a control character in its name.", member=repr(name))
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Invalid("An entry's name leaves the archive by `..`.", member=name)
    if len(raw) > limits["max_path_bytes"] or any(len(part.encode()) > NAME_BYTES for part in parts):
        raise Invalid("An entry's name is too long.", member=f"{name[:100]}…")
    if len(parts) > limits["max_depth"]:
        raise Invalid(f"Folders are nested deeper than {limits['max_depth']}.", member=f"{name[:100]}…")
    return "/".join(parts)


def is_ignored(name: str) -> bool:
    return any(part in IGNORED or part.startswith("._") for part in name.split("/"))


class Listing:
    """What the tree will hold, known and judged before anything is written."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.targets: dict[str, str] = {}
        self.last: dict[str, int] = {}
        """name → index of the member that counts: a later entry of the same name replaces the earlier one."""
        self.names_root = False

    def add(self, index: int, name: str, member: Member) -> None:
        had = self.kinds.get(name)
        if had is not None and had != member.kind:
            raise Invalid("Two entries of different kinds have the same name.", member=name)
        parent = name.rpartition("/")[0]
        while parent and self.kinds.get(parent) is None:
            self.kinds[parent] = "dir"
            parent = parent.rpartition("/")[0]
        if parent and self.kinds[parent] != "dir":
            raise Invalid("An entry lies under a file or a link.", member=name)
        self.kinds[name] = member.kind
        self.last[name] = index
        if member.kind == "link":
            self.targets[name] = member.target

    def strip(self) -> str:
        """`app/` when everything lies in that one folder, as of `tar czf app.tgz app`. An archive that names its
        own root (`tar czf app.tgz .`) means it as it is."""
        tops = {name.partition("/")[0] for name in self.kinds}
        if self.names_root or len(tops) != 1:
            return ""
        top = tops.pop()
        return f"{top}/" if self.kinds[top] == "dir" and len(self.kinds) > 1 else ""

    def check_links(self, prefix: str) -> None:
        for name, target in self.targets.items():
            if not target or target.startswith("/") or "\0" in target or len(target) > 4096:
                raise Invalid(
                    "A symbolic link's target is empty or absolute.", member=name, hint="Use a relative link."
                )
            self._resolve(name, prefix)

    def _resolve(self, name: str, prefix: str) -> None:
        """Walk the link as the kernel would; Invalid if any step leaves the tree or never ends."""
        at = name.split("/")[:-1]
        todo = list(reversed(self.targets[name].split("/")))
        hops = 0
        floor = 1 if prefix else 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if len(at) <= floor:
                    raise Invalid("A symbolic link leaves the archive.", member=name)
                at.pop()
                continue
            at.append(part)
            onward = self.targets.get("/".join(at))
            if onward is not None:
                hops += 1
                if hops > MAX_LINK_HOPS or onward.startswith("/"):
                    raise Invalid("A symbolic link leads nowhere.", member=name)
                at.pop()
                todo.extend(reversed(onward.split("/")))


def judge(all_entries: Entries, limits: dict[str, int]) -> Listing:
    listing = Listing()
    total = 0
    count = 0
    for index, (member, _) in enumerate(all_entries):
        count += 1
        if count > limits["max_entries"]:
            raise Invalid(
                f"The archive has more than {limits['max_entries']} entries.",
                hint=LEAVE_OUT,
            )
        name = clean_name(member.name, limits)
        if not name:
            if member.kind != "dir":
                raise Invalid("An entry has no name.", member=member.name)
            listing.names_root = True
            continue
        total += member.size
        if total > limits["max_bytes"]:
            raise Invalid(f"The archive unpacks to more than {limits['max_bytes'] >> 20} MiB.", member=name)
        if not is_ignored(name):
            listing.add(index, name, member)
    if "file" not in listing.kinds.values():
        raise Invalid("The archive has no files.", hint="Pack the folder that holds the app.")
    return listing


def write(all_entries: Entries, listing: Listing, prefix: str, limits: dict[str, int]) -> Answer:
    """Create the tree in the working folder; its digest covers names, kinds, the executable bit and contents."""
    lines: list[str] = []
    size = files = 0
    parents = {name.rpartition("/")[0] for name in listing.kinds}
    for name in sorted(name for name, kind in listing.kinds.items() if kind == "dir"):
        if f"{name}/" == prefix:
            continue
        short = name.removeprefix(prefix)
        os.mkdir(short, 0o755)
        if name not in parents:
            lines.append(f"{short}\0d")
    for index, (member, content) in enumerate(all_entries):
        name = clean_name(member.name, limits)
        if member.kind != "file" or listing.last.get(name) != index:
            continue
        short = name.removeprefix(prefix)
        digest = hashlib.sha256()
        left = member.size
        mode = 0o755 if member.executable else 0o644
        with open(os.open(short, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb", 0) as out:
            source = content()
            while left:
                data = source.read(min(left, CHUNK))
                if not data:
                    raise Invalid("The archive is cut off.", member=name, hint="Pack and upload it again.")
                left -= len(data)
                digest.update(data)
                out.write(data)
        files += 1
        size += member.size
        lines.append(f"{short}\0{'x' if member.executable else 'f'}{digest.hexdigest()}")
    for name, target in listing.targets.items():
        short = name.removeprefix(prefix)
        os.symlink(target, short)
        files += 1
        lines.append(f"{short}\0l{target}")
    tree = hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
    return {"digest": f"sha256:{tree}", "files": files, "size_bytes": size}


def confine(request: Request) -> None:
    """Limits, and as root the target folder for a root directory and another user."""
    limits = request["limits"]
    memory = limits["memory_bytes"]
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["seconds"], limits["seconds"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits["max_bytes"], limits["max_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o022)
    if os.getuid() == 0:
        os.chroot(".")
        if request["uid"] is not None:
            os.setgroups([])
            os.setresgid(request["uid"], request["uid"], request["uid"])
            os.setresuid(request["uid"], request["uid"], request["uid"])


def unpack(request: Request) -> Answer:
    """The tree's digest and sizes, or why there is none."""
    limits = request["limits"]
    try:
        with open(0, "rb") as file:
            listing = judge(entries(file, request["content_type"], limits), limits)
            prefix = listing.strip()
            listing.check_links(prefix)
            return write(entries(file, request["content_type"], limits), listing, prefix, limits)
    except Invalid as error:
        return {"error": error.message, "member": error.member, "hint": error.hint}
    except MemoryError:
        return {"error": "The archive needs too much memory to read.", "member": None, "hint": ""}
    except OSError as error:
        if error.errno is None:  # gzip.BadGzipFile
            return {"error": "This is not an archive of the type it says.", "member": None, "hint": str(error)}
        return unavailable(error)
    except Exception as error:  # noqa: BLE001 - whatever the bytes did to a decoder, the archive is at fault
        return {"error": "The archive cannot be read.", "member": None, "hint": f"{type(error).__name__}: {error}"}


def unavailable(error: OSError) -> Answer:
    return {"unavailable": error.strerror or str(error)}
