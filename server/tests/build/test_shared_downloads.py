"""What npm downloaded for one project, another has too; nothing else of a build's cache."""

import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from cygnid.build.base import BuildFailed
from cygnid.build.detect.files import MemoryFiles
from cygnid.build.detect.language import Download, Installing
from cygnid.build.detect.node_downloads import downloads
from cygnid.build.downloads import Downloads
from tests.build.harness import Workshop, workshop
from tests.build.releases import run_release
from tests.build.test_node_builds import INTEGRITY
from tests.build.test_process_builder import NODE, NPM

PUBLIC = "https://registry.npmjs.org/ms/-/ms-2.1.3.tgz"


def lock(**entry: str) -> str:
    packages = {"": {"dependencies": {"ms": "2.1.3"}}, "node_modules/ms": {"version": "2.1.3", **entry}}
    return json.dumps({"name": "shop", "lockfileVersion": 3, "packages": packages}, indent=2)


LOCK = lock(resolved=PUBLIC, integrity=INTEGRITY)
PACKAGE = {"name": "shop", "dependencies": {"ms": "2.1.3"}}
APP = {"package.json": json.dumps(PACKAGE), "package-lock.json": LOCK, "Procfile": "web: x"}
OFFLINE = {**APP, ".npmrc": "offline=true\n"}
SAYS = "node -p \"require('ms')('1 h')\""


def shared(
    files: Mapping[str, str],
    *,
    command: str = "npm ci --omit=dev",
    home: Sequence[str] = (),
    env: Sequence[str] = (),
    operator: Mapping[str, str] | None = None,
) -> list[str]:
    """Hashes of what is shared."""
    installing = Installing(
        command=command,
        app=MemoryFiles(files),
        home=MemoryFiles(dict.fromkeys(home, "")),
        env=env,
        operator=operator or {},
    )
    return [download.sha512 for download in downloads(installing)]


MS = base64.b64decode(INTEGRITY.removeprefix("sha512-")).hex()


def test_what_the_lock_names_is_shared_by_its_hash() -> None:
    assert shared({"package-lock.json": LOCK}) == [MS]
    assert shared({"package-lock.json": lock(integrity=f"sha1-abcd {INTEGRITY}")}) == [MS]
    assert shared({"npm-shrinkwrap.json": LOCK, "package-lock.json": "{}"}) == [MS]
    assert shared({"package-lock.json": LOCK[: LOCK.index(INTEGRITY) + len(INTEGRITY) + 1]}) == [MS]
    assert shared({"package-lock.json": lock(integrity="sha512-../../etc sha512-AAAA")}) == []


def test_what_may_be_a_projects_own_is_not_shared() -> None:
    app = {"package-lock.json": LOCK}
    assert shared({**app, ".npmrc": "# ours\nengine-strict=true\nmaxsockets = 3\n\n"}) == [MS]
    assert shared({**app, ".npmrc": "//npm.example.com/:_authToken=${TOKEN}\n"}) == []
    assert shared({**app, ".npmrc": "userconfig=./other\n"}) == []
    assert shared(app, home=[".npmrc"]) == []
    assert shared(app, env=["NPM_CONFIG_USERCONFIG"]) == []
    assert shared(app, command="npm ci --omit=dev --registry=https://npm.example.com") == []
    private = {"package-lock.json": lock(resolved="https://npm.example.com/ms/-/ms-2.1.3.tgz", integrity=INTEGRITY)}
    assert shared(private) == []
    assert shared(private, operator={"npm_config_registry": "https://npm.example.com/"}) == [MS]


def put(cache: Path, content: bytes, path: str = "npm/a/b") -> Download:
    (cache / path).parent.mkdir(parents=True, exist_ok=True)
    (cache / path).write_bytes(content)
    return Download(path=path, sha512=hashlib.sha512(content).hexdigest())


@pytest.fixture
def store(tmp_path: Path) -> Downloads:
    (tmp_path / "store").mkdir()
    return Downloads(tmp_path / "store", max_bytes=1 << 20)


def test_a_file_with_its_hash_is_taken_in_and_lent_where_it_lacks(store: Downloads, tmp_path: Path) -> None:
    download = put(tmp_path / "one", b"content")
    assert store.take_in([download], tmp_path / "one") == 1
    assert store.take_in([download], tmp_path / "one") == 0
    assert store.lend([download], tmp_path / "two", tmp_path / "lent") == 1
    assert (tmp_path / "lent" / download.path).read_bytes() == b"content"
    assert store.lend([download], tmp_path / "one", tmp_path / "none") == 0
    assert not (tmp_path / "none").exists()


def test_a_build_cannot_have_something_else_taken_in(store: Downloads, tmp_path: Path) -> None:
    download = put(tmp_path / "elsewhere", b"content")
    cache = tmp_path / "one"
    assert store.take_in([download], cache) == 0
    put(cache, b"forged")
    assert store.take_in([download], cache) == 0
    (cache / "npm/a/b").unlink()
    (cache / "npm/a/b").symlink_to(tmp_path / "elsewhere" / download.path)
    assert store.take_in([download], cache) == 0, "a link is followed"
    (cache / "npm/a/b").unlink()
    (cache / "npm/a").rmdir()
    (cache / "npm/a").symlink_to(tmp_path / "elsewhere" / "npm" / "a")
    assert store.take_in([download], cache) == 0, "a linked folder is followed"
    (cache / "npm/a").unlink()
    (cache / "npm/a").mkdir()
    os.mkfifo(cache / "npm/a/b")
    assert store.take_in([download], cache) == 0
    assert store.lend([download], tmp_path / "two", tmp_path / "lent") == 0
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_the_longest_unused_make_room_and_what_is_lent_stays(store: Downloads, tmp_path: Path) -> None:
    cache = tmp_path / "one"
    old, used, new = (put(cache, bytes([number]) * 400_000, f"npm/{number}") for number in range(3))
    store.take_in([old, used], cache)
    for age, download in ((200, used), (100, old)):
        at = (tmp_path / "store" / download.sha512[:2] / download.sha512).stat().st_mtime - age
        os.utime(tmp_path / "store" / download.sha512[:2] / download.sha512, (at, at))
    assert store.lend([old], tmp_path / "two", tmp_path / "before") == 1
    at -= 150
    os.utime(tmp_path / "store" / old.sha512[:2] / old.sha512, (at, at))
    assert store.lend([used], tmp_path / "two", tmp_path / "held") == 1
    store.take_in([new], cache)
    assert (tmp_path / "before" / old.path).read_bytes() == b"\0" * 400_000
    assert store.lend([old, used, new], tmp_path / "two", tmp_path / "after") == 2
    assert not (tmp_path / "after" / old.path).exists()


@pytest.fixture
async def shop() -> AsyncIterator[Workshop]:
    async with workshop() as shop:
        yield shop


@NODE
@NPM
async def test_another_project_needs_no_registry_for_what_one_has_downloaded(shop: Workshop) -> None:
    with pytest.raises(BuildFailed):
        await shop.builder.build(shop.request(OFFLINE, project_id="proj_b"))
    await shop.builder.build(shop.request(APP))
    artifact = await shop.builder.build(shop.request(OFFLINE, project_id="proj_b"))
    assert "1 of 1 are in the shared cache" in shop.log
    assert "3600000" in await run_release(shop, artifact, SAYS)
    with pytest.raises(BuildFailed):  # who clears the cache trusts none
        await shop.builder.build(shop.request(OFFLINE, project_id="proj_c", clear_cache=True, nonce="1"))


@NODE
@NPM
async def test_what_a_build_forges_reaches_no_other_project(shop: Workshop) -> None:
    at = f"content-v2/sha512/{MS[:2]}/{MS[2:4]}/{MS[4:]}"
    forge = f"""
const fs = require('fs'), file = process.env.npm_config_cache + '/_cacache/{at}';
fs.accessSync(file); fs.rmSync(file); fs.writeFileSync(file, 'forged');
"""
    hostile = {**APP, "package.json": json.dumps({**PACKAGE, "scripts": {"postinstall": "node forge"}})}
    await shop.builder.build(shop.request({**hostile, "forge.js": forge}))
    cache = shop.folder / "data" / "build-cache" / "proj_a" / "env_a" / "npm" / "_cacache"
    assert (cache / at).read_text() == "forged"
    assert [path for path in (shop.folder / "data" / "downloads").rglob("*") if path.is_file()] == []
    artifact = await shop.builder.build(shop.request(APP, project_id="proj_b"))
    assert "3600000" in await run_release(shop, artifact, SAYS)
    # and what is lent, a build cannot change
    overwrite = f"""
try {{ require('fs').writeFileSync('/run/downloads/npm/_cacache/{at}', 'forged'); process.exit(1); }}
catch (error) {{ if (error.code !== 'EROFS') throw error; }}
"""
    scripts = {"preinstall": "node overwrite && node forge"}
    tries = {**APP, "package.json": json.dumps({**PACKAGE, "scripts": scripts}), "forge.js": forge}
    await shop.builder.build(shop.request({**tries, "overwrite.js": overwrite}, project_id="proj_d"))
    artifact = await shop.builder.build(shop.request(OFFLINE, project_id="proj_e"))
    assert "3600000" in await run_release(shop, artifact, SAYS)
