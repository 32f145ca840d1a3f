from urllib.parse import parse_qs, urlsplit


def page(number, *, form, last=3):
    more = number < last
    return {
        "page": number if form == "page" else None,
        "limit": 2,
        "total": 5 if form == "page" else None,
        "pages": last if form == "page" else None,
        "totalIsEstimate": False,
        "hasMore": more,
        "nextCursor": f"after-{number}" if more else None,
        "prevCursor": None,
    }


def three_pages(reply, form):
    items = [["a", "b"], ["c", "d"], ["e"]]
    return [reply(200, {"data": d, "meta": {"pagination": page(n, form=form)}}) for n, d in enumerate(items, 1)]


def queries(server):
    return [{k: v[0] for k, v in parse_qs(urlsplit(seen.path).query).items()} for seen in server.requests]


def test_by_default_a_list_goes_on_by_cursor(client, server, reply):
    server.script = three_pages(reply, "page")
    assert client.items("/v1/projects", {"limit": 2}) == ["a", "b", "c", "d", "e"]
    assert queries(server) == [
        {"limit": "2"},
        {"limit": "2", "cursor": "after-1"},
        {"limit": "2", "cursor": "after-2"},
    ]


def test_from_a_cursor(client, server, reply):
    server.script = three_pages(reply, "cursor")
    assert client.items("/v1/events", {"cursor": "start"}) == ["a", "b", "c", "d", "e"]
    assert [query["cursor"] for query in queries(server)] == ["start", "after-1", "after-2"]


def test_by_page_number(client, server, reply):
    server.script = three_pages(reply, "page")
    pages = client.pages("/v1/projects", {"page": 1})
    assert [one.items for one in pages] == [["a", "b"], ["c", "d"], ["e"]]
    assert [one.pagination.page for one in pages] == [1, 2, 3]
    assert pages[0].pagination.total == 5
    assert queries(server) == [{"page": "1"}, {"page": "2"}, {"page": "3"}]


def test_a_cursor_that_is_never_null_ends_with_has_more(client, server, reply):
    pagination = {**page(3, form="cursor"), "nextCursor": "later"}
    server.script = [reply(200, {"data": ["a"], "meta": {"pagination": pagination}})]
    pages = client.pages("/v1/events")
    assert [one.items for one in pages] == [["a"]]
    assert pages[0].pagination.next_cursor == "later"


def test_an_empty_list(client, server, reply):
    server.script = [reply(200, {"data": [], "meta": {"pagination": page(1, form="page", last=1)}})]
    assert client.items("/v1/projects") == []
    assert len(server.requests) == 1
