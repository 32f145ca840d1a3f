"""Static sites through the edge and the shared file server."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.edge.harness import Answer, Stage, get, staged, static

SITE: dict[str, bytes | str] = {
    "index.html": "<h1>home</h1>",
    "app.js": "console.log(1)",
    "app.js.gz": "as gzip",
    "app.js.br": "as brotli",
    "style.css": "body{}",
    "font.woff2": b"\0\1",
    "site.webmanifest": "{}",
    "sub/index.html": "sub",
    "empty/.keep": "",
    ".env": "SECRET=1",
    ".git/config": "secret",
    ".well-known/security.txt": "Contact: x",
    ".well-known/.hidden": "secret",
}


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


async def serve(stage: Stage, name: str, release: Path, fallback: str | None = None) -> None:
    await stage.edge.apply([static(f"env_{name}", release, fallback)], version=1, term=1)


@pytest.fixture(scope="module")
async def site(stage: Stage) -> Path:
    return stage.release("proj_1/site", SITE)


async def test_files_folders_and_their_types(stage: Stage, site: Path) -> None:
    await serve(stage, "site", site)
    expected = {
        "/": ("<h1>home</h1>", "text/html; charset=utf-8"),
        "/sub/": ("sub", "text/html; charset=utf-8"),
        "/app.js": ("console.log(1)", "text/javascript; charset=utf-8"),
        "/style.css": ("body{}", "text/css; charset=utf-8"),
        "/font.woff2": ("\0\1", "font/woff2"),
        "/site.webmanifest": ("{}", "application/manifest+json"),
        "/.well-known/security.txt": ("Contact: x", "text/plain; charset=utf-8"),
    }
    for path, (body, content_type) in expected.items():
        answer = await get(stage.port, "site.localhost", path)
        assert (answer.status, answer.body.decode(), answer.header("content-type")) == (200, body, content_type), path
        assert answer.header("etag")
        assert answer.header("last-modified") is None
        assert answer.header("server") is None
    moved = await get(stage.port, "site.localhost", "/sub")
    assert (moved.status, moved.header("location")) == (308, "/sub/")
    head = await get(stage.port, "site.localhost", "/", method="HEAD")
    assert (head.status, head.header("content-length"), head.body) == (200, "13", b"")


@pytest.mark.parametrize(
    "path",
    [
        "/.env",
        "/.git/config",
        "/%2egit/config",
        "//.git/config",
        "/.well-known/.hidden",
        "/empty/",
        "/empty",
        "/nothing",
    ],
)
@pytest.mark.parametrize("fallback", [None, "index.html"])
async def test_nothing_hidden_is_shown_and_no_folder_listed(
    stage: Stage, site: Path, path: str, fallback: str | None
) -> None:
    await serve(stage, "site", site, fallback)
    answer = await get(stage.port, "site.localhost", path)
    assert b"secret" not in answer.body.lower()
    assert b"keep" not in answer.body
    if fallback is None or "/." in path or "%2e" in path:
        assert answer.status == 404


async def test_precompressed_files_go_to_those_who_can_read_them(stage: Stage, site: Path) -> None:
    await serve(stage, "site", site)

    async def ask(accepted: str) -> Answer:
        return await get(stage.port, "site.localhost", "/app.js", headers=[("accept-encoding", accepted)])

    plain, gzip, brotli = await ask("identity"), await ask("gzip"), await ask("gzip, deflate, br, zstd")
    assert [a.body for a in (plain, gzip, brotli)] == [b"console.log(1)", b"as gzip", b"as brotli"]
    assert [a.header("content-encoding") for a in (plain, gzip, brotli)] == [None, "gzip", "br"]
    assert {a.header("content-type") for a in (plain, gzip, brotli)} == {"text/javascript; charset=utf-8"}
    assert {a.header("vary") for a in (plain, gzip, brotli)} == {"Accept-Encoding"}
    assert len({a.header("etag") for a in (plain, gzip, brotli)}) == 3


async def test_ranges(stage: Stage, site: Path) -> None:
    await serve(stage, "site", site)
    part = await get(stage.port, "site.localhost", "/index.html", headers=[("range", "bytes=4-7")])
    assert (part.status, part.body, part.header("content-range")) == (206, b"home", "bytes 4-7/13")
    outside = await get(stage.port, "site.localhost", "/index.html", headers=[("range", "bytes=99-")])
    assert outside.status == 416


async def test_the_fallback_answers_for_what_is_missing_only(stage: Stage, site: Path) -> None:
    await serve(stage, "spa", site, "index.html")
    for path in ("/deep/link", "/empty/", "/empty", "/users/1/"):
        answer = await get(stage.port, "spa.localhost", path)
        assert (answer.status, answer.body) == (200, b"<h1>home</h1>"), path
    assert (await get(stage.port, "spa.localhost", "/style.css")).body == b"body{}"
    assert (await get(stage.port, "spa.localhost", "/sub/")).body == b"sub"


async def test_a_site_brings_its_own_404(stage: Stage, site: Path) -> None:
    own = stage.release("proj_1/own404", {"index.html": "x", "404.html": "<h1>lost</h1>"})
    await serve(stage, "own", own)
    answer = await get(stage.port, "own.localhost", "/nothing.png")
    assert (answer.status, answer.body) == (404, b"<h1>lost</h1>")
    assert answer.header("content-type") == "text/html; charset=utf-8"
    await serve(stage, "site", site)
    answer = await get(stage.port, "site.localhost", "/nothing.png")
    assert answer.status == 404
    assert (answer.header("x-request-id") or "?").encode() in answer.body


async def test_only_reading_is_allowed(stage: Stage, site: Path) -> None:
    await serve(stage, "site", site)
    assert (await get(stage.port, "site.localhost", "/", method="POST", body=b"x")).status == 405
    assert (await get(stage.port, "site.localhost", "/", method="DELETE")).status == 405


async def test_equal_size_in_another_release_is_another_etag_and_a_rollback_shows_the_old_page(stage: Stage) -> None:
    """Sealing gives every release its own time of change: that and the size make the ETag."""
    first = stage.release("proj_1/r1", {"index.html": "one"}, mtime=1_700_000_000)
    second = stage.release("proj_1/r2", {"index.html": "two"}, mtime=1_700_000_001)
    await serve(stage, "site", first)
    one = await get(stage.port, "site.localhost")
    await serve(stage, "site", second)
    two = await get(stage.port, "site.localhost")
    assert (one.body, two.body) == (b"one", b"two")
    etags = [one.header("etag") or "", two.header("etag") or ""]
    assert etags[0] != etags[1]

    await serve(stage, "site", first)
    unchanged = await get(stage.port, "site.localhost", headers=[("if-none-match", etags[0])])
    assert unchanged.status == 304
    # A browser that saw the second release asks with its ETag, or with its time, which lies after the first's.
    for condition in (("if-none-match", etags[1]), ("if-modified-since", "Tue, 14 Nov 2034 22:13:21 GMT")):
        back = await get(stage.port, "site.localhost", headers=[condition])
        assert (back.status, back.body) == (200, b"one"), condition


async def test_two_sites_at_once(stage: Stage, site: Path) -> None:
    other = stage.release("proj_2/other", {"index.html": "other"})
    await stage.edge.apply([static("env_site", site), static("env_other", other)], version=1, term=1)
    pages = await asyncio.gather(*(get(stage.port, f"{name}.localhost") for name in ("site", "other") * 10))
    assert [page.body for page in pages] == [b"<h1>home</h1>", b"other"] * 10


async def test_no_client_chooses_the_release(stage: Stage, site: Path) -> None:
    stage.release("proj_2/secret", {"index.html": "another's"})
    await serve(stage, "site", site)
    for forged in (
        [("x-cygni-release", "proj_2/secret")],
        [("X-Cygni-Release", "proj_2/secret"), ("x-cygni-fallback", "app.js")],
    ):
        assert (await get(stage.port, "site.localhost", headers=forged)).body == b"<h1>home</h1>"
        assert (await get(stage.port, "site.localhost", "/nothing", headers=forged)).status == 404
    for path in (
        "/../../proj_2/secret/index.html",
        "/..%2f..%2fproj_2/secret/index.html",
        "/%2e%2e/%2e%2e/proj_2/secret/",
    ):
        assert b"another" not in (await get(stage.port, "site.localhost", path)).body


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give the file server a mount that follows no links")
async def test_links_are_not_followed(stage: Stage) -> None:
    """Sealing refuses links that leave a release; this holds even for one that came by another way."""
    release = stage.release("proj_1/links", {"index.html": "x"})
    stage.release("proj_2/secret", {"index.html": "another's secret"})
    (release / "out.html").symlink_to("/etc/hostname")
    (release / "beside.html").symlink_to("../../proj_2/secret/index.html")
    (release / "folder").symlink_to("../../proj_2/secret")
    await serve(stage, "site", release)
    for path in ("/out.html", "/beside.html", "/folder/", "/folder/index.html"):
        answer = await get(stage.port, "site.localhost", path)
        assert answer.status >= 400, path
        assert b"another's secret" not in answer.body
