import asyncio
import itertools
import random
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cygnid.core import convert
from cygnid.core.db import Pool, Read, Tx, begin, connect
from cygnid.core.errors import UnknownParameter, ValidationError
from cygnid.core.paging import Listing, LogQuery, PageQuery, fetch, link_header, where
from cygnid.core.schemas import Page, Pagination

START = datetime(2024, 1, 1, tzinfo=UTC)
LISTING = Listing(
    select="SELECT t.id, t.name, t.status, t.size, t.created_at FROM things t",
    sorts={"createdAt": "created_at", "name": "name", "size": "size", "status": "status", "id": "id"},
)
LOGS = Listing(select=LISTING.select, sorts={"timestamp": "created_at"}, default="-timestamp", counted=False)
SORTS = [None, "createdAt", "-createdAt", "name,-size", "-status,size,-createdAt", "size", "-id", "status,-id"]


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    status: Literal["active", "paused"]
    size: int
    created_at: datetime


@pytest.fixture(scope="module")
async def pool(module_database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(module_database_url, size=4)
    async with begin(pool) as tx:
        await tx.execute(
            """CREATE TABLE things (id text COLLATE "C" PRIMARY KEY, name text NOT NULL, status text NOT NULL,
               size int NOT NULL, created_at timestamptz NOT NULL)"""
        )
    yield pool
    await pool.close()


@pytest.fixture
async def tx(pool: Pool) -> AsyncIterator[Tx]:
    """A transaction with an empty table, rolled back."""
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield Tx(connection)
        await transaction.rollback()


def thing(number: int, random_: random.Random) -> tuple[str, str, str, int, datetime]:
    """Few different values, so that ties are the rule."""
    moment = START + timedelta(microseconds=random_.randrange(4))
    return f"t{number:05}", random_.choice("aB ö"), random_.choice(["active", "paused"]), random_.randrange(3), moment


async def fill(tx: Tx, rows: list[tuple[str, str, str, int, datetime]]) -> None:
    for row in rows:
        await tx.execute("INSERT INTO things VALUES ($1, $2, $3, $4, $5)", *row)


async def many(tx: Tx, number: int) -> None:
    await tx.execute(
        """INSERT INTO things
           SELECT 't' || lpad(n::text, 6, '0'), 'n', 'active', 1, $2::timestamptz + n * interval '1 s'
           FROM generate_series(1, $1::int) n""",
        number,
        START,
    )


def ids(page: Page[Thing]) -> list[str]:
    return [item.id for item in page.items]


def query(**parameters: str) -> PageQuery:
    return convert.query(list(parameters.items()), PageQuery)


async def refused(read: Read, **parameters: str) -> ValidationError:
    with pytest.raises(ValidationError) as error:
        await fetch(read, Thing, LISTING, query(**parameters))
    return error.value


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9), sort=st.sampled_from(SORTS), limit=st.integers(1, 7), first=st.integers(0, 30))
async def test_a_walk_by_cursor_meets_each_row_once_while_others_come(
    pool: Pool, seed: int, sort: str | None, limit: int, first: int
):
    random_ = random.Random(seed)
    numbers = itertools.count()
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            tx = Tx(connection)
            await fill(tx, [thing(next(numbers), random_) for _ in range(first)])
            page = await fetch(tx, Thing, LISTING, PageQuery(sort=sort, limit=limit))
            seen = ids(page)
            while page.pagination.next_cursor:
                await fill(tx, [thing(next(numbers), random_) for _ in range(random_.randrange(2))])
                page = await fetch(
                    tx, Thing, LISTING, PageQuery(sort=sort, limit=limit, cursor=page.pagination.next_cursor)
                )
                seen += ids(page)
            assert len(seen) == len(set(seen))
            assert {f"t{number:05}" for number in range(first)} <= set(seen)
        finally:
            await transaction.rollback()


@pytest.mark.parametrize("sort", SORTS)
async def test_the_way_back_meets_the_same_rows_in_the_same_order(tx: Tx, sort: str | None):
    await fill(tx, [thing(number, random.Random(number)) for number in range(17)])
    page = await fetch(tx, Thing, LISTING, PageQuery(sort=sort, limit=4))
    there = [ids(page)]
    while cursor := page.pagination.next_cursor:
        page = await fetch(tx, Thing, LISTING, PageQuery(sort=sort, limit=4, cursor=cursor))
        there.append(ids(page))
    back = [ids(page)]
    while cursor := page.pagination.prev_cursor:
        page = await fetch(tx, Thing, LISTING, PageQuery(sort=sort, limit=4, cursor=cursor))
        assert page.pagination.has_more
        back.append(ids(page))
    assert [len(part) for part in there] == [4, 4, 4, 4, 1]
    assert list(itertools.chain(*reversed(back))) == list(itertools.chain(*there))


@pytest.mark.parametrize("sort", SORTS)
async def test_page_numbers_give_the_same_order_as_cursors(tx: Tx, sort: str | None):
    await fill(tx, [thing(number, random.Random(number)) for number in range(11)])
    pages = [await fetch(tx, Thing, LISTING, PageQuery(sort=sort, limit=4, page=page)) for page in (1, 2, 3)]
    by_cursor = await fetch(tx, Thing, LISTING, PageQuery(sort=sort, limit=4, cursor=pages[0].pagination.next_cursor))
    assert ids(by_cursor) == ids(pages[1])
    assert sorted(itertools.chain(*map(ids, pages))) == [f"t{number:05}" for number in range(11)]


async def test_the_order_is_that_of_the_sort_then_of_the_id(tx: Tx):
    rows = [thing(number, random.Random(number)) for number in range(40)]
    await fill(tx, rows)
    page = await fetch(tx, Thing, LISTING, PageQuery(sort="-size,createdAt", limit=100))
    assert ids(page) == [row[0] for row in sorted(rows, key=lambda row: (-row[3], row[4], row[0]))]
    newest = await fetch(tx, Thing, LISTING, PageQuery(limit=100))
    assert ids(newest) == [row[0] for row in sorted(rows, key=lambda row: (row[4], row[0]), reverse=True)]


async def test_the_first_page_says_how_many_there_are(tx: Tx):
    await many(tx, 41)
    shown = (await fetch(tx, Thing, LISTING, query())).pagination
    assert (shown.page, shown.limit, shown.total, shown.pages, shown.total_is_estimate) == (1, 20, 41, 3, False)
    assert (shown.has_more, shown.next_cursor is not None, shown.prev_cursor) == (True, True, None)
    second = (await fetch(tx, Thing, LISTING, PageQuery(cursor=shown.next_cursor))).pagination
    assert (second.page, second.total, second.pages, second.total_is_estimate) == (None, None, None, False)
    assert second.prev_cursor is not None


async def test_nothing_and_past_the_end_are_empty_lists(tx: Tx):
    empty = await fetch(tx, Thing, LISTING, query())
    assert (empty.items, empty.pagination.total, empty.pagination.pages) == ([], 0, 0)
    await many(tx, 5)
    beyond = await fetch(tx, Thing, LISTING, query(page="4", limit="5"))
    assert beyond.items == []
    assert beyond.pagination == Pagination(
        page=4,
        limit=5,
        total=5,
        pages=1,
        total_is_estimate=False,
        has_more=False,
        next_cursor=None,
        prev_cursor=None,
    )


@pytest.mark.parametrize(("rows", "is_estimate"), [(10_000, False), (10_001, True)])
async def test_a_total_is_exact_to_ten_thousand(tx: Tx, rows: int, is_estimate: bool):
    await many(tx, rows)
    for page in ("1", "100"):
        shown = (await fetch(tx, Thing, LISTING, query(page=page, limit="100"))).pagination
        assert (shown.total, shown.pages, shown.total_is_estimate) == (10_000, 100, is_estimate)
    assert shown.has_more == is_estimate
    assert (await refused(tx, page="101", limit="100")).details["field"] == "page"


async def test_page_numbers_beyond_ten_thousand_rows_point_to_the_cursor(tx: Tx):
    error = await refused(tx, page="10000", limit="2")
    assert "cursor" in error.details["reason"]
    with pytest.raises(ValidationError):
        await fetch(tx, Thing, LISTING, query(page="1159571080104224151293657088"))


async def test_logs_are_not_counted(tx: Tx):
    await many(tx, 25)
    whole = (await fetch(tx, Thing, LOGS, LogQuery())).pagination
    assert (whole.limit, whole.total, whole.total_is_estimate) == (100, 25, False)
    part = (await fetch(tx, Thing, LOGS, LogQuery(limit=10))).pagination
    assert (part.total, part.pages, part.total_is_estimate) == (10_000, 1000, True)
    last = (await fetch(tx, Thing, LOGS, LogQuery(limit=10, page=3))).pagination
    assert (last.total, last.pages, last.total_is_estimate) == (25, 3, False)


@pytest.mark.parametrize(
    "parameters", [{"limit": "0"}, {"limit": "101"}, {"limit": "ten"}, {"page": "0"}, {"page": "-1"}, {"page": "1.5"}]
)
def test_numbers_out_of_range_are_refused_never_clamped(parameters: dict[str, str]):
    with pytest.raises(ValidationError) as error:
        query(**parameters)
    assert error.value.details["field"] == next(iter(parameters))


def test_a_log_query_may_ask_for_more():
    assert convert.query([("limit", "1000")], LogQuery).limit == 1000
    with pytest.raises(ValidationError):
        convert.query([("limit", "1001")], LogQuery)
    with pytest.raises(UnknownParameter):
        convert.query([("per_page", "1")], LogQuery)


@pytest.mark.parametrize("sort", ["", "-", "nope", "created_at", "--name", "name,", "name,-name", "name; DROP TABLE x"])
async def test_only_declared_fields_sort(tx: Tx, sort: str):
    error = await refused(tx, sort=sort)
    assert error.details["field"] == "sort"
    assert error.details["allowed"] == ["createdAt", "id", "name", "size", "status"]


def cursor(*parts: object) -> str:
    return urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ä",
        "////",
        cursor(),
        cursor("name", "after", ["a"]),
        cursor("name", "after", ["a", "b", "c"]),
        cursor("name", "sideways", ["a", "b"]),
        cursor("name", "after", ["a\0", "b"]),
        cursor("name", "after", [1, "b"]),
        cursor("name", "after", [None, "b"]),
        cursor("size", "after", [2**63, "b"]),
        cursor("size", "after", [1.5, "b"]),
        cursor("status", "after", ["no such", "b"]),
        cursor("createdAt", "after", ["yesterday", "b"]),
        cursor("createdAt", "after", ["2024-01-01T00:00:00", "b"]),
        cursor("createdAt", "after", ["0001-01-01T00:00:00+14:00", "b"]),
        cursor("name) --", "after", ["a", "b"]),
        cursor("name", "after", ["a", "b"], "more"),
    ],
)
async def test_a_cursor_that_somebody_made_up_is_refused(tx: Tx, text: str):
    await many(tx, 3)
    assert (await refused(tx, cursor=text)).details["field"] == "cursor"


async def test_numbers_larger_than_the_column_are_no_fault(tx: Tx):
    await many(tx, 3)
    page = await fetch(tx, Thing, LISTING, query(cursor=cursor("size", "after", [2**62, "b"])))
    assert page.items == []


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: urlsafe_b64encode(raw).decode()))
@settings(max_examples=60, deadline=None)
def test_no_text_at_all_breaks_the_decoding(text: str):
    with pytest.raises(ValidationError):
        asyncio.run(fetch(None, Thing, LISTING, PageQuery(cursor=text)))  # type: ignore[arg-type]


async def test_a_cursor_keeps_its_sort_and_goes_with_no_other_and_no_page(tx: Tx):
    await many(tx, 5)
    first = await fetch(tx, Thing, LISTING, query(sort="createdAt", limit="2"))
    mark = first.pagination.next_cursor or ""
    assert ids(await fetch(tx, Thing, LISTING, query(cursor=mark, limit="2"))) == ["t000003", "t000004"]
    assert (await refused(tx, cursor=mark, sort="-createdAt")).details["field"] == "cursor"
    assert (await refused(tx, cursor=mark, page="2")).details["field"] == "cursor"


async def test_conditions_hold_together_and_values_stay_values(tx: Tx):
    await fill(tx, [(f"t{n}", f"n{n}", "active" if n % 2 else "paused", n, START) for n in range(10)])
    conditions = [
        where("t.size > $1 OR t.size = $2", 4, 0),
        where("t.status = $1", "active"),
        where("t.id <> $1", "t9"),
    ]
    page = await fetch(tx, Thing, LISTING, query(sort="size", limit="1"), conditions)
    assert (ids(page), page.pagination.total) == (["t5"], 2)
    rest = await fetch(tx, Thing, LISTING, PageQuery(cursor=page.pagination.next_cursor), conditions)
    assert ids(rest) == ["t7"]
    attack = "' OR true --"
    assert (await fetch(tx, Thing, LISTING, query(), [where("t.name = $1", attack)])).items == []


def shown(**changes: object) -> Pagination:
    base = Pagination(
        page=2,
        limit=20,
        total=95,
        pages=5,
        total_is_estimate=False,
        has_more=True,
        next_cursor="N",
        prev_cursor="P",
    )
    return msgspec.structs.replace(base, **changes)


def test_links_lead_to_the_neighbours_with_the_filters_kept():
    url = "https://api.example.com/v1/projects?status=active,paused&page=2&label=a%3Ab&label=c"
    kept = "https://api.example.com/v1/projects?status=active%2Cpaused&label=a%3Ab&label=c"
    assert link_header(url, shown()).split(", ") == [
        f'<{kept}>; rel="first"',
        f'<{kept}&page=1>; rel="prev"',
        f'<{kept}&page=3>; rel="next"',
        f'<{kept}&page=5>; rel="last"',
    ]


def test_links_in_cursor_form():
    links = link_header("/v1/projects?cursor=old", shown(page=None, total=None, pages=None))
    assert links == (
        '</v1/projects>; rel="first", </v1/projects?cursor=P>; rel="prev", </v1/projects?cursor=N>; rel="next"'
    )


def test_links_past_the_last_page_number_go_on_by_cursor():
    links = link_header("/v1/x?page=500", shown(page=500, total=10_000, pages=500, total_is_estimate=True))
    assert links == '</v1/x>; rel="first", </v1/x?page=499>; rel="prev", </v1/x?cursor=N>; rel="next"'


def test_a_path_cannot_forge_a_header():
    links = link_header('/v1/a>; rel="x"\r\nX: y?q=%0D%0A', shown())
    assert "\r" not in links
    assert "\n" not in links
    assert links.count(">; rel=") == 4
