"""Lists of variables are narrowed as every other list."""

from tests.make.api import Api
from tests.make.calls import create_project


async def test_by_part_of_the_key_and_by_time(api: Api) -> None:
    client = await api.owner()
    project = (await create_project(client, "shop"))["id"]
    for key in ("DATABASE_URL", "DATA_DIR", "COLOR"):
        body = {"projectId": project, "key": key, "value": "x", "environments": ["production"]}
        await client.request("POST", "/env", json=body)

    async def keys(**query: str) -> list[str]:
        return [row["key"] for row in (await client.request("GET", "/env", query={"projectId": project, **query})).data]

    assert await keys(search="data") == ["DATABASE_URL", "DATA_DIR"]
    assert await keys(search="a_d") == ["DATA_DIR"], "no character is special"
    assert await keys(since="2100-01-01") == []
    assert len(await keys(until="2100-01-01", **{"createdAt[gte]": "2020-01-01"})) == 3
