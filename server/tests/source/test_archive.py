"""What uploads may hold, and every way an archive has of doing harm."""

import asyncio
import gc
import gzip
import io
import os
import select
import signal
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from cygnid.source.archive import ArchiveLimits, ArchiveSource
from cygnid.source.base import SourceInvalid, SourceUnavailable
from tests.source.archives import ContentType, file, pack, spec_of, special, tar, tgz

SMALL = ArchiveLimits(max_entries=50, max_bytes=4 << 20, max_depth=10, max_path_bytes=200, ratio_free_bytes=1 << 20)
UID = 61_999


def negative_size() -> bytes:
    """The header that makes TarFile.getnames() endless (CVE-2025-8194)."""
    header = bytearray(tar(file("a"))[:512])
    header[124:136] = b"\xff" * 8 + struct.pack(">i", -512)  # base-256
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return gzip.compress(bytes(header) * 4 + bytes(1024))


def overflowing_links() -> bytes:
    """A realpath overflow (CVE-2025-4517): links so deep that the path is no longer resolved, then a way out."""
    members: list[tarfile.TarInfo] = []
    folder, path = "d" * 200, ""
    for letter in "abcdefghijklmnop":
        members.append(special(f"{path}{folder}", tarfile.DIRTYPE))
        members.append(special(f"{path}{letter}", tarfile.SYMTYPE, folder))
        path += f"{letter}/"
    members.append(special("escape", tarfile.SYMTYPE, f"{path}{'../' * 20}etc"))
    members.append(file("escape/passwd"))
    return tgz(*members)


def lying_zip() -> bytes:
    """A zip whose central directory says less than the data holds."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"x" * 1000)
    content = bytearray(buffer.getvalue())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(content)


def zip_with(name: str, *, mode: int = 0o100644, content: str = "x") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, mode << 16
        archive.writestr(info, content)
        archive.writestr("index.html", "x")
    return buffer.getvalue()


def pax(name: str, headers: dict[str, str]) -> bytes:
    info = file("innocent")
    info.name = name
    info.pax_headers = headers
    return tgz(info)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "dot dot": (tgz(file("../evil")), "`..`"),
    "dot dot inside": (tgz(file("a/../../evil")), "`..`"),
    "absolute": (tgz(file("/etc/evil")), "absolute"),
    "pax path": (pax("ok", {"path": "../../evil"}), "`..`"),
    "pax control": (pax("ok", {"path": "a\nb"}), "control character"),
    "pax link path": (
        tgz(special("l", tarfile.SYMTYPE, "x" * 120 + "/../../../../etc"), file("a")),
        "leaves the archive",
    ),
    "link to root": (tgz(special("l", tarfile.SYMTYPE, "/etc/passwd"), file("a")), "absolute"),
    "link out": (tgz(special("d/l", tarfile.SYMTYPE, "../../x"), file("a")), "leaves the archive"),
    "link through link": (
        tgz(special("a/b", tarfile.SYMTYPE, "../c"), special("x", tarfile.SYMTYPE, "a/b/../.."), file("c/f")),
        "leaves the archive",
    ),
    "link loop": (tgz(special("a", tarfile.SYMTYPE, "b"), special("b", tarfile.SYMTYPE, "a"), file("f")), "nowhere"),
    "write through link": (tgz(special("d", tarfile.SYMTYPE, "."), file("d/f")), "under a file or a link"),
    "link replaces folder": (tgz(file("d/f"), special("d", tarfile.SYMTYPE, ".")), "different kinds"),
    "overflowing links": (overflowing_links(), ""),
    "hard link": (tgz(file("a"), special("b", tarfile.LNKTYPE, "a")), "hard link"),
    "device": (tgz(special("null", tarfile.CHRTYPE)), "no file, folder or symbolic link"),
    "fifo": (tgz(special("pipe", tarfile.FIFOTYPE)), "no file, folder or symbolic link"),
    "negative size": (negative_size(), ""),
    "too many": (tgz(*(file(f"f{number}") for number in range(60))), "more than 50 entries"),
    "too big": (tgz(file("a", 5 << 20)), "4 MiB"),
    "too big together": (
        tgz(*(file(f"f{number}", 1 << 20) for number in range(5)), content=lambda info: os.urandom(info.size)),
        "4 MiB",
    ),
    "ratio": (gzip.compress(bytes(3 << 20), 9), "times its size"),
    "too deep": (tgz(file("/".join("abcdefghijkl"))), "deeper than 10"),
    "name too long": (tgz(file("n" * 180 + "/" + "m" * 60)), "too long"),
    "part too long": (tgz(file("n" * 300)), "too long"),
    "not utf-8": (gzip.compress(tar(file("a")).replace(b"a" + bytes(99), b"\xff" + bytes(99), 1)), ""),
    "no archive": (b"just text, no archive at all", "not an archive"),
    "gzip of text": (gzip.compress(b"just text, no tar at all" * 100), "no tar"),
    "empty file": (b"", ""),
    "empty tar": (tgz(), ""),
    "folders only": (tgz(special("a", tarfile.DIRTYPE)), "no files"),
    "only .git": (tgz(file(".git/config")), "no files"),
    "cut gzip": (tgz(file("a", 90_000), content=lambda info: os.urandom(info.size))[:-20_000], ""),
    "cut tar": (gzip.compress(tar(file("a", 600), file("b", 600))[:1100]), ""),
    "no end mark": (gzip.compress(tar(file("a", 512))[:1024]), "cut off"),
    "broken header": (gzip.compress(tar(file("a", 512))[:1024] + b"y" * 10_240), "cut off"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_archive_is_refused_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[case]
    spec = spec_of(tmp_path / "upload", content)
    with pytest.raises(SourceInvalid) as caught:
        await ArchiveSource(uid=UID, limits=SMALL).fetch(spec, tmp_path / "tree")
    assert reason in caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["upload"]


ZIPS: dict[str, tuple[bytes, str]] = {
    "dot dot": (zip_with("../evil"), "`..`"),
    "absolute": (zip_with("/etc/evil"), "absolute"),
    "backslash": (zip_with("..\\evil"), "backslash"),
    "link out": (zip_with("l", mode=0o120777, content="../../etc/passwd"), "leaves the archive"),
    "device": (zip_with("d", mode=0o020666), "no file, folder or symbolic link"),
    "lies": (lying_zip(), ""),
    "empty": (pack({}, "application/zip"), "no files"),
    "not a zip": (b"PK nothing", ""),
    "bomb": (pack({"a": os.urandom(5 << 19).hex()}, "application/zip"), "4 MiB"),
    "ratio": (pack({"a": "0" * (3 << 20)}, "application/zip"), "times its size"),
}


@pytest.mark.parametrize("case", ZIPS)
async def test_a_hostile_zip_is_refused_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    content, reason = ZIPS[case]
    spec = spec_of(tmp_path / "upload", content, "application/zip")
    with pytest.raises(SourceInvalid) as caught:
        await ArchiveSource(uid=UID, limits=SMALL).fetch(spec, tmp_path / "tree")
    assert reason in caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["upload"]


async def test_the_member_at_fault_is_named(tmp_path: Path) -> None:
    spec = spec_of(tmp_path / "upload", tgz(file("fine"), file("deep/../../evil")))
    with pytest.raises(SourceInvalid) as caught:
        await ArchiveSource().fetch(spec, tmp_path / "tree")
    assert caught.value.member == "deep/../../evil"


async def test_a_cut_zstd_is_refused(tmp_path: Path) -> None:
    whole = zstandard.compress(tar(file("a", 90_000), content=lambda info: os.urandom(info.size)))
    spec = spec_of(tmp_path / "upload", whole[:-1000], "application/zstd")
    with pytest.raises(SourceInvalid):
        await ArchiveSource().fetch(spec, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


async def test_an_archive_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    empties = tgz(*(file(f"f{number}", 0) for number in range(60_000)))
    limits = ArchiveLimits(max_entries=100_000, seconds=1, memory_bytes=2 << 30)
    with pytest.raises(SourceInvalid, match="took more than 1 s"):
        await ArchiveSource(limits=limits).fetch(spec_of(tmp_path / "upload", empties), tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


async def test_a_header_as_big_as_memory_is_refused(tmp_path: Path) -> None:
    info = file("a")
    info.pax_headers = {"comment": "x" * (80 << 20)}
    limits = ArchiveLimits(memory_bytes=96 << 20, max_ratio=1_000_000)
    with pytest.raises(SourceInvalid):
        await ArchiveSource(limits=limits).fetch(spec_of(tmp_path / "upload", tgz(info)), tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


async def test_permissions_are_reduced_to_executable_or_not(tmp_path: Path) -> None:
    members = (file("suid", mode=0o6755), file("open", mode=0o666), file("run", mode=0o100))
    tree = await ArchiveSource().fetch(spec_of(tmp_path / "upload", tgz(*members)), tmp_path / "tree")
    modes = {path.name: path.stat().st_mode & 0o7777 for path in tree.path.iterdir()}
    assert modes == {"suid": 0o755, "open": 0o644, "run": 0o755}


async def test_what_is_no_part_of_an_app_is_left_out(tmp_path: Path) -> None:
    names = (".git/config", "lib/.git", "__MACOSX/a", "._a", ".DS_Store", ".gitignore", "a")
    tree = await ArchiveSource().fetch(
        spec_of(tmp_path / "upload", tgz(*(file(name) for name in names))), tmp_path / "tree"
    )
    assert sorted(path.name for path in tree.path.rglob("*")) == [".gitignore", "a"]


async def test_links_inside_of_the_tree_are_kept(tmp_path: Path) -> None:
    members = (file("lib/code"), special("bin/code", tarfile.SYMTYPE, "../lib/code"))
    tree = await ArchiveSource().fetch(spec_of(tmp_path / "upload", tgz(*members)), tmp_path / "tree")
    assert (tree.path / "bin/code").resolve() == (tree.path / "lib/code").resolve()


@pytest.mark.parametrize("content_type", ["application/gzip", "application/zstd", "application/zip"])
async def test_the_same_tree_has_the_same_digest_in_every_format(content_type: ContentType, tmp_path: Path) -> None:
    files = {"app.py": "print()", "lib/größe.txt": "ü"}
    first = await ArchiveSource().fetch(spec_of(tmp_path / "one", pack(files)), tmp_path / "first")
    spec = spec_of(tmp_path / "two", pack(dict(reversed(files.items())), content_type), content_type)
    second = await ArchiveSource().fetch(spec, tmp_path / "second")
    assert (first.digest, first.files, first.size_bytes) == (second.digest, 2, second.size_bytes)
    assert (second.path / "lib/größe.txt").read_text() == "ü"


@pytest.mark.parametrize(
    "change", [{"a": "2", "d/b": "1"}, {"a": "1", "d/c": "1"}, {"a": "1", "b": "1"}, {"a": "1", "d/b": "1", "c": ""}]
)
async def test_any_difference_gives_another_digest(change: dict[str, str], tmp_path: Path) -> None:
    one = await ArchiveSource().fetch(spec_of(tmp_path / "1", pack({"a": "1", "d/b": "1"})), tmp_path / "first")
    two = await ArchiveSource().fetch(spec_of(tmp_path / "2", pack(change)), tmp_path / "second")
    assert one.digest != two.digest


async def test_one_folder_around_everything_is_taken_off(tmp_path: Path) -> None:
    members = (
        special("app", tarfile.DIRTYPE),
        file("app/a"),
        file("app/app/b"),
        special("app/l", tarfile.SYMTYPE, "a"),
    )
    tree = await ArchiveSource().fetch(spec_of(tmp_path / "upload", tgz(*members)), tmp_path / "tree")
    plain = (file("a"), file("app/b"), special("l", tarfile.SYMTYPE, "a"))
    same = await ArchiveSource().fetch(spec_of(tmp_path / "plain", tgz(*plain)), tmp_path / "same")
    assert sorted(path.name for path in tree.path.iterdir()) == ["a", "app", "l"]
    assert tree.digest == same.digest


async def test_an_archive_that_names_its_root_is_taken_as_it_is(tmp_path: Path) -> None:
    members = (special(".", tarfile.DIRTYPE), special("./backend", tarfile.DIRTYPE), file("./backend/a"))
    tree = await ArchiveSource().fetch(spec_of(tmp_path / "upload", tgz(*members)), tmp_path / "tree")
    assert [path.name for path in tree.path.iterdir()] == ["backend"]


async def test_a_later_entry_replaces_an_earlier_one(tmp_path: Path) -> None:
    members = [file("a", 3), file("a", 5), file("b")]
    tree = await ArchiveSource().fetch(spec_of(tmp_path / "upload", tgz(*members)), tmp_path / "tree")
    assert (tree.path / "a").stat().st_size == 5


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give up root")
async def test_root_is_given_up_before_reading(tmp_path: Path) -> None:
    tree = await ArchiveSource(uid=UID).fetch(spec_of(tmp_path / "upload", tgz(file("d/a"))), tmp_path / "tree")
    assert {path.stat().st_uid for path in (tree.path, *tree.path.rglob("*"))} == {UID}


async def test_a_missing_upload_is_unavailable(tmp_path: Path) -> None:
    spec = spec_of(tmp_path / "upload", b"")
    spec.path.unlink()
    with pytest.raises(SourceUnavailable):
        await ArchiveSource().fetch(spec, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


async def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    spec = spec_of(tmp_path / "upload", tgz(*(file(f"f{number}", 10) for number in range(20_000))))
    task = asyncio.create_task(ArchiveSource().fetch(spec, tmp_path / "tree"))
    while not (tmp_path / "tree").exists():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (tmp_path / "tree").exists()


def unpackers() -> set[int]:
    """The processes of ours that unpack."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in children if b"unpacker" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def big() -> bytes:
    return tgz(*(file(f"f{number}", 10) for number in range(20_000)))


async def test_archives_are_unpacked_side_by_side(tmp_path: Path) -> None:
    source = ArchiveSource()
    slow = asyncio.create_task(source.fetch(spec_of(tmp_path / "big", big()), tmp_path / "slow"))
    small = spec_of(tmp_path / "small", tgz(file("a")))
    trees = await asyncio.gather(*(source.fetch(small, tmp_path / f"tree{number}") for number in range(5)))
    assert len({tree.digest for tree in trees}) == 1
    assert (await slow).files == 20_000


async def test_a_killed_unpacker_is_replaced(tmp_path: Path) -> None:
    before = unpackers()
    source = ArchiveSource()
    spec = spec_of(tmp_path / "upload", tgz(file("a")))
    await source.fetch(spec, tmp_path / "one")
    (ours,) = unpackers() - before
    ended = os.pidfd_open(ours)
    os.kill(ours, signal.SIGKILL)
    assert select.select([ended], [], [], 30)[0]
    os.close(ended)
    assert (await source.fetch(spec, tmp_path / "two")).files == 1
    assert unpackers() - before not in (set(), {ours})


async def test_an_unpacker_killed_at_work_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    before = unpackers()
    source = ArchiveSource()
    task = asyncio.create_task(source.fetch(spec_of(tmp_path / "upload", big()), tmp_path / "tree"))
    while not (tmp_path / "tree").exists() or not list((tmp_path / "tree").iterdir()):
        await asyncio.sleep(0)
    for pid in unpackers() - before:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(SourceUnavailable, match="was ended"):
        await task
    assert not (tmp_path / "tree").exists()


async def test_the_unpacker_goes_with_its_source(tmp_path: Path) -> None:
    before = unpackers()
    source = ArchiveSource()
    await source.fetch(spec_of(tmp_path / "upload", tgz(file("a"))), tmp_path / "tree")
    assert unpackers() - before
    del source
    gc.collect()
    assert unpackers() <= before
