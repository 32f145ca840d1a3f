"""The documentation, served by the installation that it is about: `docUrl` of every error leads here."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from posixpath import normpath
from typing import Any

from litestar.types import Receive, Send
from markdown_it import MarkdownIt
from markdown_it.token import Token

DOCS = Path(__file__).parents[2] / "docs"
PREFIX = "/docs"
_MOVED = {"/docs": "/docs/", "/docs/api/reference": "/docs/errors"}
"""The second is the address that every API of ours gives; a browser keeps the part after the #."""
_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"cache-control", b"public, max-age=300"),
]
_STYLE = (
    "body{font:16px/1.6 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "pre{background:#f5f5f5;padding:.8rem;overflow:auto}code{font-size:.9em;background:#f5f5f5}"
    "table{border-collapse:collapse;display:block;overflow:auto}td,th{border:1px solid #ddd;padding:.3rem .6rem}"
    ":target{background:#fff3bf}"
)


async def docs_site(scope: Any, receive: Receive, send: Send) -> None:
    """Plain ASGI, for paths that begin with PREFIX."""
    path: str = scope["path"]
    if path in _MOVED:
        status, headers, body = 308, [(b"location", _MOVED[path].encode())], b""
    elif (html := page(path)) is not None:
        status, headers, body = 200, _HEADERS, html.encode()
    else:
        status, headers, body = (
            404,
            _HEADERS,
            _whole("Not found", "<p>There is no such page. <a href='/docs/'>All pages</a>"),
        )
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body, "more_body": False})


def page(path: str) -> str | None:
    """The page at a path such as `/docs/deploy/python`, as HTML; None: there is none."""
    source = _pages().get(path)
    if source is None:
        return None
    text = source.read_text()
    title = next((line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")), "Cygni")
    return _whole(title, _rendered(text, path, is_index=source.name == "README.md")).decode()


@cache
def _pages() -> Mapping[str, Path]:
    """Every page by its path: one that asks for another file finds nothing here."""
    found: dict[str, Path] = {}
    for file in DOCS.rglob("*.md"):
        name = file.relative_to(DOCS).as_posix().removesuffix(".md")
        found[f"{PREFIX}/{name.removesuffix('README')}"] = file
    return found


@cache
def _rendered(text: str, path: str, *, is_index: bool) -> str:
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = markdown.parse(text)
    folder = path if is_index else path.rpartition("/")[0] + "/"
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _slug(tokens[index + 1].content))
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("href", _href(child, folder))
    return markdown.renderer.render(tokens, markdown.options, {})


def _href(link: Token, folder: str) -> str:
    """Where a link between files leads between pages."""
    href = str(link.attrGet("href") or "")
    target, mark, anchor = href.partition("#")
    if not target or "://" in target or target.startswith("/"):
        return href
    path = normpath(folder + target) + ("/" if target.endswith("/") else "")
    return re.sub(r"(README)?\.md$", "", path) + mark + anchor


def _slug(heading: str) -> str:
    """As in most readers of Markdown: lower case, words joined by hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _whole(title: str, body: str) -> bytes:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} · Cygni</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f'<p><a href="{PREFIX}/">Cygni</a></p>\n{body}</html>\n'
    ).encode()
