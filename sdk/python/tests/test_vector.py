"""The tar of a small folder, the same in every language: sdk/archive-vector.json, described in sdk/README.md."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from cygni._runtime.archive import write_tar

VECTOR = json.loads((Path(__file__).parents[2] / "archive-vector.json").read_text())


def test_the_tar_is_the_one_of_every_language(tmp_path):
    for file in VECTOR["files"]:
        path = tmp_path / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        if "link" in file:
            path.symlink_to(file["link"])
        else:
            path.write_text(file["text"])
            path.chmod(0o750 if file.get("executable") else 0o640)
    tar = io.BytesIO()
    write_tar(tmp_path, tar)
    read = tarfile.TarFile(fileobj=io.BytesIO(tar.getvalue()))
    members = [(m.name, oct(m.mode), m.mtime, m.uid, m.gname) for m in read]
    assert [member[0] for member in members] == VECTOR["names"]
    assert {member[1:] for member in members if member[0] == "run.sh"} == {("0o755", 946684800, 0, "")}
    assert read.extractfile("lib.txt").read() == b"after the folder lib\n"
    assert read.getmember("main.py").linkname == "app.py"
    assert (len(tar.getvalue()), hashlib.sha256(tar.getvalue()).hexdigest()) == (VECTOR["sizeBytes"], VECTOR["sha256"])
