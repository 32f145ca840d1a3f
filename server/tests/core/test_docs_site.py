"""The documentation that an installation serves."""

import re
from html import unescape
from typing import Any, get_args

import httpx2
import pytest

from cygnid.docs_site import DOCS, docs_site, page
from cygnid.resources.deployments.schemas import FailureCode

PAGES = sorted(
    "/docs/" + file.relative_to(DOCS).as_posix().removesuffix(".md").removesuffix("README")
    for file in DOCS.rglob("*.md")
)


async def get(path: str) -> httpx2.Response:
    transport: Any = httpx2.ASGITransport(docs_site)  # pyright: ignore[reportArgumentType]
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
        return await client.get(path, follow_redirects=True)


@pytest.mark.parametrize("path", PAGES)
def test_every_link_between_pages_leads_to_one(path: str) -> None:
    html = page(path)
    assert html is not None
    for href in re.findall(r'href="(/docs/[^"]*)"', html):
        target, _, anchor = unescape(href).partition("#")
        if DOCS.joinpath(target.removeprefix("/docs/")).is_dir() and not target.endswith("/"):
            target += "/"
        there = page(target)
        listed = DOCS.joinpath(target.removeprefix("/docs/")).is_dir()  # a folder without a page of its own
        assert there is not None or listed, href
        assert not anchor or listed or f'id="{anchor}"' in (there or ""), href


async def test_the_address_of_an_error_leads_to_its_words() -> None:
    answer = await get("/docs/api/reference")
    assert answer.status_code == 200
    for code in ("not_found", "rate_limited", *get_args(FailureCode)):
        assert f'<a id="{code}"></a>' in answer.text


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/docs/deploy/python"])
async def test_pages_are_shown_and_run_nothing(path: str) -> None:
    answer = await get(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "path", ["/docs/nothing", "/docs/../README", "/docs/%2e%2e/README", "/docs/deploy/../../README"]
)
async def test_nothing_else_is_shown(path: str) -> None:
    assert (await get(path)).status_code == 404
