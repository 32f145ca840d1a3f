import gzip
import hashlib
import io
import os
import tarfile

import pytest

from cygni import ArchiveError
from cygni._runtime.archive import list_files, pack


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def packed(root):
    file = io.BytesIO()
    count = pack(root, file)
    with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
        members = {member.name: member for member in tar}
        contents = {name: tar.extractfile(m).read() for name, m in members.items() if m.isfile()}
    assert count == len(members)
    return file.getvalue(), members, contents


def test_equal_directories_give_equal_bytes(tmp_path):
    files = {"b.py": "b", "a/z.py": "z", "a/ü.txt": "ü", "a.txt": "a"}
    one = write(tmp_path / "one", files)
    other = write(tmp_path / "other", dict(reversed(files.items())))
    os.utime(other / "b.py", (1, 1))
    (other / "a.txt").chmod(0o600)
    archive, members, contents = packed(one)
    assert hashlib.sha256(archive).digest() == hashlib.sha256(packed(other)[0]).digest()
    assert list(members) == ["a/z.py", "a/ü.txt", "a.txt", "b.py"]
    assert contents["a/ü.txt"] == "ü".encode()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members.values()} == {
        (946684800, 0, 0, "", "", 0o644)
    }
    assert gzip.decompress(archive)


def test_programs_and_links_stay_what_they_are(tmp_path):
    write(tmp_path, {"bin/run": "#!/bin/sh\n", "lib/x": "x"})
    (tmp_path / "bin/run").chmod(0o700)
    (tmp_path / "link").symlink_to("lib/x")
    (tmp_path / "bin/up").symlink_to("../lib")
    os.mkfifo(tmp_path / "pipe")
    _, members, _ = packed(tmp_path)
    assert members["bin/run"].mode == 0o755
    assert (members["link"].linkname, members["bin/up"].linkname) == ("lib/x", "../lib")
    assert "pipe" not in members


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "a/../../outside", ".."])
def test_a_link_may_not_lead_out(tmp_path, target):
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(ArchiveError, match=r"link is a link to .*outside"):
        pack(tmp_path, io.BytesIO())


def test_ignore_files(tmp_path):
    write(
        tmp_path,
        {
            ".gitignore": "*.log\n/dist/\n!keep.log\n.env\n",
            ".cygniignore": "docs/\n!.env\n",
            "app.py": "",
            "debug.log": "",
            "keep.log": "",
            ".env": "",
            "dist/out.js": "",
            "pkg/dist/kept.js": "",
            "docs/index.md": "",
            "pkg/.gitignore": "*.tmp\n!special.log\n",
            "pkg/a.tmp": "",
            "pkg/special.log": "",
            "pkg/other.log": "",
            "other/a.tmp": "",
        },
    )
    assert list(list_files(tmp_path)) == [
        ".cygniignore",
        ".env",
        ".gitignore",
        "app.py",
        "keep.log",
        "other/a.tmp",
        "pkg/.gitignore",
        "pkg/dist/kept.js",
        "pkg/special.log",
    ]


def test_nothing_below_an_ignored_folder_comes_back(tmp_path):
    write(tmp_path, {".gitignore": "build/\n!build/keep\n", "build/keep": "", "build/.gitignore": "!*", "a": ""})
    assert list(list_files(tmp_path)) == [".gitignore", "a"]


@pytest.mark.parametrize("name", [".git", ".venv", "node_modules", "__pycache__", ".cygni"])
def test_some_folders_are_never_packed(tmp_path, name):
    write(tmp_path, {".cygniignore": f"!{name}\n", f"{name}/x": "", f"sub/{name}/x": "", "a": ""})
    assert list(list_files(tmp_path)) == [".cygniignore", "a"]


def test_nothing_to_deploy(tmp_path):
    with pytest.raises(ArchiveError, match="no files"):
        pack(tmp_path, io.BytesIO())
    with pytest.raises(ArchiveError, match="not a directory"):
        pack(tmp_path / "missing", io.BytesIO())
