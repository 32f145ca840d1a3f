"""What applications do to their folders on purpose."""

import os
import sys
from pathlib import Path

import pytest

from cygnid.sandbox.disk import remove_tree, used_bytes


def nested(folder: Path, name: str, levels: int) -> None:
    """Deeper than any path reaches: each level is made from the one above."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


@pytest.mark.parametrize(("name", "levels"), [("d", 3000), ("d" * 200, 100)])
def test_folders_without_end_are_removed(tmp_path: Path, name: str, levels: int) -> None:
    folder = tmp_path / "overlay"
    (folder / "closed").mkdir(parents=True, mode=0o000)
    nested(folder, name, levels)
    remove_tree(folder)
    remove_tree(folder)
    assert list(tmp_path.iterdir()) == []


def test_what_no_path_can_name_is_over_every_limit(tmp_path: Path) -> None:
    nested(tmp_path, "d" * 200, 100)
    assert used_bytes([str(tmp_path)]) == sys.maxsize
    remove_tree(tmp_path)


def test_what_vanishes_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(8192))
    assert used_bytes([str(tmp_path), str(tmp_path / "gone")]) == 8192
