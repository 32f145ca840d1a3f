"""Build caches make room for each other, and none is taken from a build."""

import asyncio
import os
from pathlib import Path

import pytest

from cygnid.build.caches import Caches
from tests.build.harness import workshop


@pytest.fixture
def caches(tmp_path: Path) -> Caches:
    return Caches(tmp_path, max_bytes=2_500_000, max_bytes_each=2_000_000)


async def fill(caches: Caches, cache: Path, size: int = 1_000_000, *, clear: bool = False) -> str:
    async with caches.held(cache, clear=clear) as said:
        (cache / "npm").mkdir(exist_ok=True)
        (cache / "npm" / "file").write_bytes(os.urandom(size))
    return said


def unused_for(cache: Path, seconds: float) -> None:
    at = (cache / ".used").stat().st_mtime - seconds
    os.utime(cache / ".used", (at, at))


async def test_the_longest_unused_goes_first(caches: Caches, tmp_path: Path) -> None:
    one, two, three = tmp_path / "p" / "one", tmp_path / "p" / "two", tmp_path / "q" / "three"
    await fill(caches, one)
    await fill(caches, two)
    unused_for(one, 50)
    unused_for(two, 100)
    await fill(caches, three)
    assert (one.exists(), two.exists(), three.exists()) == (True, False, True)


async def test_what_a_build_holds_stays(caches: Caches, tmp_path: Path) -> None:
    one, two, three = tmp_path / "p" / "one", tmp_path / "p" / "two", tmp_path / "p" / "three"
    await fill(caches, one)
    await fill(caches, two)
    unused_for(one, 100)
    async with caches.held(one, clear=False):
        await fill(caches, three)
        assert (one / "npm" / "file").exists()
    assert one.exists(), "it is the one that was used last"
    assert [cache.exists() for cache in (two, three)].count(True) == 1


async def test_a_build_waits_for_whoever_removes_its_cache(caches: Caches, tmp_path: Path) -> None:
    cache = tmp_path / "p" / "one"
    await fill(caches, cache)
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(fill(Caches(tmp_path, max_bytes=0, max_bytes_each=2_000_000), cache))
    assert not cache.exists()
    await fill(caches, cache)
    assert (cache / "npm" / "file").exists()


async def test_one_that_is_too_big_or_not_wanted_is_emptied(caches: Caches, tmp_path: Path) -> None:
    cache = tmp_path / "p" / "one"
    assert await fill(caches, cache) == ""
    assert await fill(caches, cache, clear=True) == "the build cache was cleared"
    assert await fill(caches, cache, 2_100_000) == ""
    assert await fill(caches, cache) == "the build cache was cleared: it had grown too big"


async def test_a_build_that_was_broken_off_leaves_no_wrong_size(caches: Caches, tmp_path: Path) -> None:
    cache = tmp_path / "p" / "one"

    async def broken_off() -> None:
        async with caches.held(cache, clear=False):
            (cache / "file").write_bytes(os.urandom(2_100_000))
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await broken_off()
    assert await fill(caches, cache) == "the build cache was cleared: it had grown too big"


async def test_builds_of_other_projects_make_room() -> None:
    async with workshop(build_cache_bytes=0) as shop:
        app = {"Procfile": "web: x", "cygni.toml": 'build_command = "echo kept > $HOME/kept"\n'}
        await shop.builder.build(shop.request(app))
        assert not (shop.folder / "data" / "build-cache" / "proj_a" / "env_a").exists()
