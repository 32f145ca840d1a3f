"""The SDK on lists longer than a page, and what it says of the rate limit."""

from pathlib import Path

import pytest

from cygni import RateLimitError
from tests.make.api import Api, api_of


@pytest.mark.parametrize("query", [{}, {"limit": 100}, {"limit": 100, "page": 1}])
async def test_every_item_of_a_long_list_comes_once(api: Api, query: dict[str, int]) -> None:
    async with await api.owner() as client:
        made = {
            (await client.request("POST", "/v1/tokens", json={"name": f"t{n}", "scopes": ["logs:read"]})).data["id"]
            for n in range(251)
        }
        listed = [one["id"] async for one in client.paginate("/v1/tokens", query)]
        first = await client.paginate("/v1/tokens", query)
    assert len(listed) == len(set(listed))
    assert made <= set(listed)
    assert first.pagination is not None
    assert first.pagination.total == len(listed)


async def test_the_rate_limit_is_told_with_every_answer_and_with_the_refusal(database_url: str, tmp_path: Path) -> None:
    async with api_of(database_url, tmp_path, plan="free") as api, await api.owner() as client:
        first, second = [(await client.request("GET", "/v1/me")).rate_limit for _ in range(2)]
        assert first is not None
        assert second is not None
        assert first.limit == second.limit > 1
        assert second.remaining == first.remaining - 1
        for _ in range(second.remaining):
            await client.request("GET", "/v1/me")
        with pytest.raises(RateLimitError) as refused:
            await client.request("GET", "/v1/me")
    assert refused.value.code == "rate_limited"
    assert refused.value.retry_after is not None
    told = refused.value.last_response.rate_limit
    assert told is not None
    assert told.remaining == 0
