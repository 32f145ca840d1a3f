"""What is found in public is revoked, by whoever reports it, and the answer tells nobody anything."""

import asyncio
from typing import Any

import msgspec

from cygni import AsyncCygniClient
from cygnid.core import db, token_format
from tests.make.api import Api
from tests.make.calls import refused

URL = "https://git.example.com/acme/shop/blob/main/deploy.sh"


class Told(msgspec.Struct, frozen=True):
    actor_type: str
    resource_id: str
    data: str


async def told(api: Api) -> list[Told]:
    async with db.read(api.pool) as read:
        return await read.all(
            Told, "SELECT actor_type, resource_id, data FROM changes WHERE type = 'token.leaked' ORDER BY number"
        )


def reporter(api: Api) -> AsyncCygniClient:
    """Anybody: the route takes no notice of who asks."""
    return api.client(token_format.mint("personal"))


async def report(client: AsyncCygniClient, *secrets: str) -> dict[str, Any]:
    found = [{"token": secret, "type": "cygni_token", "url": URL, "source": "content"} for secret in secrets]
    return (await client.request("POST", "/tokens/report", json=found)).data


async def test_known_and_unknown_are_answered_alike(api: Api) -> None:
    eve = await api.outsider()
    leaked, unknown = await api.token(), token_format.mint("team")
    assert await report(eve, leaked) == await report(eve, unknown) == await report(eve, "noise") == {"received": 1}
    assert await report(eve, leaked) == {"received": 1}
    (one,) = await told(api)
    assert msgspec.json.decode(one.data) == {"source": "content", "url": URL}
    assert (await refused(api.client(leaked).request("GET", "/projects"))).code == "token_revoked"


async def test_a_whole_report_at_once(api: Api) -> None:
    eve = await api.outsider()
    secrets = [await api.token(api.owner_id), await api.token(), await api.token()]
    both = [*secrets, *secrets, token_format.mint("deploy")]
    answers = await asyncio.gather(report(eve, *both), report(eve, *reversed(both)))
    assert answers == [{"received": 7}] * 2
    assert len(await told(api)) == 3


async def test_the_secret_before_counts_while_it_works(api: Api) -> None:
    secret = await api.token(api.owner_id)
    client = api.client(secret)
    token_id = (await client.request("GET", "/tokens/current")).data["id"]
    rotated = await client.request("POST", f"/tokens/{token_id}/rotate", json={"overlapSeconds": 600})
    await report(await api.outsider(), secret)
    assert (await refused(api.client(rotated.data["secret"]).request("GET", "/me"))).code == "token_revoked"
    after = await api.token(api.owner_id)
    gone = (await api.client(after).request("GET", "/tokens/current")).data["id"]
    await api.client(after).request("POST", f"/tokens/{gone}/rotate", json={"overlapSeconds": 0})
    await report(await api.outsider(), after)
    assert len(await told(api)) == 1


async def test_it_is_bounded(api: Api) -> None:
    eve = await api.outsider()
    for body in ([{"token": "x"}] * 101, [], [{"token": "x" * 1025}], {"reports": [{"token": "x", "more": 1}]}, {}):
        assert (await refused(eve.request("POST", "/tokens/report", json=body))).status == 400
