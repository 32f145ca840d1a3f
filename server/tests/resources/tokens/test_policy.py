"""What a team asks of the tokens that act in it: from where, and how old."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from cygnid.core import clock, db
from cygnid.core.access import Permission, permissions_by_team, team_access
from cygnid.core.errors import CygniError
from cygnid.resources.tokens.actions import authenticate
from tests.make.api import Api
from tests.make.calls import create_project, refused
from tests.make.people import make_team, make_user

INSIDE, OUTSIDE = "192.0.2.7", "198.51.100.1"


@pytest.fixture
def later() -> Iterator[Callable[[float], None]]:
    """Moves the clock so many days on."""
    start = clock.now()
    yield lambda days: clock.set_clock(lambda: start + timedelta(days=days))
    clock.set_clock(None)


async def demand(api: Api, **fields: object) -> None:
    async with db.begin(api.pool) as tx:
        for name, value in fields.items():
            await tx.execute(f"UPDATE teams SET {name} = $2 WHERE id = $1", api.team_id, value)


async def may_read(api: Api, secret: str, ip: str | None, team_id: str | None = None) -> str:
    async with db.read(api.pool) as read:
        try:
            actor = await authenticate(read, secret, ip)
            await team_access(read, actor, team_id or api.team_id, Permission.PROJECTS_READ)
        except CygniError as error:
            return type(error).__name__
    return "yes"


@pytest.mark.parametrize("kind", ["team", "personal"])
async def test_the_team_says_from_where(api: Api, kind: str) -> None:
    secret = await api.token(api.owner_id if kind == "personal" else None)
    await demand(api, allowed_ips=["192.0.2.0/24", "2001:db8::/32"])
    for ip in (INSIDE, f"::ffff:{INSIDE}", "2001:db8::1"):
        assert await may_read(api, secret, ip) == "yes"
    for ip in (OUTSIDE, "2001:db9::1", None, "no address"):
        assert await may_read(api, secret, ip) == "Forbidden"
    assert await may_read(api, secret, OUTSIDE, "team_unknown") in ("NotFound", "Forbidden")


async def test_a_user_goes_on_in_other_teams(api: Api) -> None:
    async with db.begin(api.pool) as tx:
        home = await make_team(tx, "home")
        user = await make_user(tx, "bo", **{api.team_id: "owner", home: "owner"})
    secret = await api.token(user)
    await demand(api, allowed_ips=["192.0.2.0/24"])
    async with db.read(api.pool) as read:
        assert set(await permissions_by_team(read, await authenticate(read, secret, OUTSIDE))) == {home}
        assert set(await permissions_by_team(read, await authenticate(read, secret, INSIDE))) == {home, api.team_id}


async def test_a_header_is_no_address(api: Api) -> None:
    ada = await api.owner()
    await create_project(ada, "shop")
    await demand(api, allowed_ips=[INSIDE])
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP"):
        value = f"for={INSIDE}" if header == "Forwarded" else INSIDE
        error = await refused(ada.request("GET", "/projects/shop", headers={header: value}))
        assert error.status == 403
    assert (await ada.request("GET", "/projects")).data == []


async def test_a_secret_has_its_days(api: Api, later: Callable[[float], None]) -> None:
    ada = await api.owner()
    made = await ada.request("POST", "/tokens", json={"name": "ci", "kind": "team", "scopes": ["projects:read"]})
    assert made.data["expiresAt"] is None
    token_id, secret = made.data["id"], made.data["secret"]
    await demand(api, max_token_age_days=30)
    shown = (await ada.request("GET", f"/tokens/{token_id}")).data
    assert shown["status"] == "active"
    ends = datetime.fromisoformat(shown["expiresAt"])
    assert ends == datetime.fromisoformat(shown["createdAt"]) + timedelta(days=30)
    later(29)
    assert await may_read(api, secret, INSIDE) == "yes"
    fresh = (await ada.request("POST", f"/tokens/{token_id}/rotate", json={"overlapSeconds": 0})).data["secret"]
    later(31)
    assert await may_read(api, secret, INSIDE) == "Unauthorized"
    assert await may_read(api, fresh, INSIDE) == "yes"
    later(60)
    assert await may_read(api, fresh, INSIDE) == "TokenExpired"
    await demand(api, max_token_age_days=None)
    assert await may_read(api, fresh, INSIDE) == "yes"


async def test_an_old_token_of_a_user_acts_in_this_team_no_more(api: Api, later: Callable[[float], None]) -> None:
    secret = await api.token(api.owner_id, ("*",))
    await demand(api, max_token_age_days=30)
    later(31)
    assert await may_read(api, secret, INSIDE) == "Forbidden"
    token_id = (await api.client(secret).request("GET", "/tokens/current")).data["id"]
    error = await refused(api.client(secret).request("POST", f"/tokens/{token_id}/rotate", json={}))
    assert error.code == "insufficient_scope"  # what is too old gives itself no new secret
    client = api.client(await api.session(api.owner_id))
    fresh = (await client.request("POST", f"/tokens/{token_id}/rotate", json={})).data["secret"]
    assert await may_read(api, fresh, INSIDE) == "yes"
