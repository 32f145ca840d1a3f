"""The index through the SDK: the whole way from a client to the database and back."""

from tests.make.api import Api


async def test_a_token_sees_the_version(api: Api) -> None:
    client = await api.owner()
    answer = await client.request("GET", "/")
    assert answer.data["name"] == "Cygni"
    assert answer.data["version"]
