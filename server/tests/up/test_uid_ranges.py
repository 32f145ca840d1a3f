"""Blocks of uids: no two installations, accounts or containers share one."""

from pathlib import Path

import pytest

from cygnid.up.uid_ranges import FIRST, SIZE, reserve


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "registry"


def installation(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_each_installation_gets_its_own_and_keeps_it(tmp_path: Path, registry: Path) -> None:
    one, two = installation(tmp_path, "one"), installation(tmp_path, "two")
    first = reserve(one, registry=registry)
    assert first >= FIRST
    assert (first - FIRST) % SIZE == 0
    second = reserve(two, registry=registry)
    assert abs(second - first) >= SIZE
    assert reserve(one, registry=registry) == first


def test_a_block_is_free_again_when_its_data_folder_is_gone(tmp_path: Path, registry: Path) -> None:
    one, two = installation(tmp_path, "one"), installation(tmp_path, "two")
    first = reserve(one, registry=registry)
    one.rmdir()
    assert reserve(two, registry=registry) == first


def test_container_ranges_are_left_alone(tmp_path: Path, registry: Path) -> None:
    subuid = tmp_path / "subuid"
    subuid.write_text(f"somebody:{FIRST + 5}:{SIZE}\nnonsense\n")
    found = reserve(installation(tmp_path, "one"), registry=registry, subuid=subuid)
    assert found == FIRST + 2 * SIZE


def test_accounts_are_left_alone(tmp_path: Path, registry: Path) -> None:
    accounts = [(FIRST + 7, 1)]
    found = reserve(
        installation(tmp_path, "one"), registry=registry, subuid=tmp_path / "none", accounts=lambda: accounts
    )
    assert found == FIRST + SIZE
