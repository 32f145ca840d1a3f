"""Lists of any length: one page, the one after it, and iterators over all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, Generic, TypeVar

from .call import Query, QueryValue
from .response import Pagination, Response

PageQuery = dict[str, QueryValue]
Decode = Callable[[Any], Any]
T = TypeVar("T")


class Page(Generic[T]):
    """One page: `items`, `pagination`, and the `last_response` that brought them."""

    def __init__(self, response: Response, query: PageQuery, decode: Decode) -> None:
        self.last_response = response
        self.items: list[T] = [decode(each) for each in response.data or []]
        self.pagination: Pagination | None = response.pagination
        self._query = query
        self._decode = decode

    def next_query(self) -> PageQuery | None:
        """What to ask for the page after this one, None at the end.

        Who asked by `page` goes on by page; all others by cursor, which neither skips nor repeats when rows move.
        """
        pagination = self.pagination
        if pagination is None or not pagination.has_more:
            return None
        if self._query.get("page") is not None and pagination.page is not None:
            return {**self._query, "page": pagination.page + 1}
        if pagination.next_cursor is None:
            return None
        return {**self._query, "page": None, "cursor": pagination.next_cursor}


class Pager(Page[T]):
    """A list result: the first page, and an iterator over all items, which fetches the pages as it reaches them."""

    def __init__(self, fetch: Callable[[PageQuery], Response], query: Query | None, decode: Decode) -> None:
        first = dict(query or {})
        super().__init__(fetch(first), first, decode)
        self._fetch = fetch

    def pages(self) -> Iterator[Page[T]]:
        page: Page[T] = self
        yield page
        while (query := page.next_query()) is not None:
            page = Page(self._fetch(query), query, self._decode)
            yield page

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items


class AsyncPager(Page[T]):
    """As Pager; see AsyncList for how one is had."""

    def __init__(
        self, response: Response, query: PageQuery, decode: Decode, fetch: Callable[[PageQuery], Awaitable[Response]]
    ) -> None:
        super().__init__(response, query, decode)
        self._fetch = fetch

    async def pages(self) -> AsyncIterator[Page[T]]:
        page: Page[T] = self
        yield page
        while (query := page.next_query()) is not None:
            page = Page(await self._fetch(query), query, self._decode)
            yield page

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item


class AsyncList(Generic[T]):
    """Await it for the first page (an AsyncPager), or iterate over all items right away with `async for`."""

    def __init__(self, fetch: Callable[[PageQuery], Awaitable[Response]], query: Query | None, decode: Decode) -> None:
        self._fetch = fetch
        self._query: PageQuery = dict(query or {})
        self._decode = decode

    def __await__(self) -> Generator[Any, Any, AsyncPager[T]]:
        return self._first().__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        async for item in await self._first():
            yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        async for page in (await self._first()).pages():
            yield page

    async def _first(self) -> AsyncPager[T]:
        return AsyncPager(await self._fetch(self._query), self._query, self._decode, self._fetch)
