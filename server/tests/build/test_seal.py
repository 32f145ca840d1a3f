"""What makes a release unchangeable, servable, and free of secrets."""

import gzip
import os
from pathlib import Path

import pytest
import zstandard

from cygnid.build.base import BuildFailed
from cygnid.build.seal import copy_tree, finish_static, refuse_secrets, seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "release"
    made.mkdir()
    return made


def test_the_size_is_that_of_the_files(folder: Path) -> None:
    (folder / "a").write_bytes(b"x" * 700)
    (folder / "d").mkdir()
    (folder / "d" / "b").write_bytes(b"x" * 300)
    (folder / "l").symlink_to("a")
    assert seal(folder) == 1000


def test_permissions_are_reading_and_executing_alone(folder: Path) -> None:
    for name, mode in (("suid", 0o6755), ("open", 0o666), ("private", 0o600), ("mine", 0o700)):
        (folder / name).write_text("")
        (folder / name).chmod(mode)
    seal(folder)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in folder.iterdir()}
    assert modes == {"suid": 0o555, "open": 0o444, "private": 0o444, "mine": 0o555}
    assert folder.stat().st_mode & 0o7777 == 0o555


def test_below_an_overlay_the_owner_may_write(folder: Path) -> None:
    for name, mode in (("suid", 0o6755), ("open", 0o666), ("shut", 0o400)):
        (folder / name).write_text("")
        (folder / name).chmod(mode)
    seal(folder, for_overlay=True)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in folder.iterdir()}
    assert modes == {"suid": 0o755, "open": 0o644, "shut": 0o644}
    assert folder.stat().st_mode & 0o7777 == 0o755


def test_text_has_compressed_neighbours_and_what_gains_nothing_has_none(folder: Path) -> None:
    text = "<p>the same again</p>\n" * 500
    (folder / "index.html").write_text(text)
    (folder / "tiny.css").write_text("a{}")
    (folder / "noise.txt").write_bytes(os.urandom(5000))
    (folder / "photo.jpg").write_bytes(bytes(5000))
    finish_static(folder, folder.parent / "clock")
    names = {path.name for path in folder.iterdir()}
    assert names == {"index.html", "index.html.gz", "index.html.zst", "tiny.css", "noise.txt", "photo.jpg"}
    assert gzip.decompress((folder / "index.html.gz").read_bytes()).decode() == text
    assert zstandard.decompress((folder / "index.html.zst").read_bytes()).decode() == text


def test_a_neighbour_that_the_build_made_is_kept(folder: Path) -> None:
    (folder / "a.js").write_text("x" * 5000)
    (folder / "a.js.gz").write_bytes(b"theirs")
    finish_static(folder, folder.parent / "clock")
    assert (folder / "a.js.gz").read_bytes() == b"theirs"


def test_every_sealing_has_a_second_of_its_own(folder: Path, tmp_path: Path) -> None:
    (folder / "a").write_text("x")
    times: list[float] = []
    for _ in range(3):
        finish_static(folder, tmp_path / "clock")
        assert folder.stat().st_mtime == (folder / "a").stat().st_mtime
        times.append((folder / "a").stat().st_mtime)
    assert len(set(times)) == 3
    assert times == sorted(times)


@pytest.mark.parametrize("target", ["/etc/passwd", "../clock", "../../x", "missing", "self", ".", "..", "../folder"])
def test_a_link_that_leaves_a_site_or_leads_nowhere_is_named(folder: Path, tmp_path: Path, target: str) -> None:
    (folder / "index.html").write_text("x")
    (folder / "self").symlink_to(target)
    (tmp_path / "clock").write_text("")
    with pytest.raises(BuildFailed, match="leads nowhere or to too much: self"):
        finish_static(folder, tmp_path / "clock")


def test_a_link_inside_of_a_site_is_fine(folder: Path) -> None:
    (folder / "index.html").write_text("x")
    (folder / "home.html").symlink_to("index.html")
    (folder / "v2" / "deep").mkdir(parents=True)
    (folder / "v2" / "deep" / "a.html").write_text("a")
    (folder / "v2" / "top.html").symlink_to("../home.html")
    (folder / "latest").symlink_to("v2")
    finish_static(folder, folder.parent / "clock")
    assert (folder / "home.html").read_text() == "x"
    assert (folder / "latest" / "deep" / "a.html").read_text() == "a"
    assert (folder / "latest" / "top.html").read_text() == "x"
    assert not [path for path in folder.rglob("*") if path.is_symlink()], "file servers follow none"


def test_links_that_multiply_are_refused(folder: Path) -> None:
    (folder / "0").mkdir()
    (folder / "0" / "index.html").write_text("x")
    for level in range(1, 20):
        (folder / str(level)).mkdir()
        for name in ("a", "b"):
            (folder / str(level) / name).symlink_to(f"../{level - 1}")
    with pytest.raises(BuildFailed, match="too much"):
        finish_static(folder, folder.parent / "clock")


def test_a_site_without_files_is_refused(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(BuildFailed, match="no files"):
        finish_static(folder, folder.parent / "clock")


@pytest.mark.parametrize("before", [0, (1 << 20) - 3, (1 << 20) - 13, 3 << 20])
def test_a_secret_is_found_wherever_it_lies(folder: Path, before: int) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "f").write_bytes(b"." * before + b"the-value-123" + b"." * 10)
    with pytest.raises(BuildFailed, match="KEY is in the release: d/f"):
        refuse_secrets(folder, {"OTHER": "another-value", "KEY": "the-value-123"})


def test_short_values_are_not_searched_for(folder: Path) -> None:
    (folder / "f").write_text("yes")
    refuse_secrets(folder, {"KEY": "yes"})


def test_a_copy_keeps_files_links_and_the_executable_bit_alone(folder: Path, tmp_path: Path) -> None:
    (folder / "run").write_text("x")
    (folder / "run").chmod(0o6777)
    (folder / "d" / ".venv").mkdir(parents=True)
    (folder / "d" / "f").write_bytes(b"y" * 3_000_000)
    (folder / "l").symlink_to("d/f")
    os.mkfifo(folder / "pipe")
    copy_tree(folder, tmp_path / "copy", uid=None, leave_out=frozenset({"d/.venv"}))
    copy = tmp_path / "copy"
    assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*")) == ["d", "d/f", "l", "run"]
    assert (copy / "run").stat().st_mode & 0o7777 == 0o755
    assert (copy / "d" / "f").read_bytes() == b"y" * 3_000_000
    assert os.readlink(copy / "l") == "d/f"
