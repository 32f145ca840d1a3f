"""Registering, signing in and out, sessions: through the API, as a client would."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.core import clock, db, token_format
from cygnid.resources.auth import one_time, throttle
from cygnid.resources.auth.tasks import forget_ended_sign_ins
from cygnid.up.first import ensure_first_owner, new_setup_code
from tests.make.api import Api, api_of
from tests.make.calls import refused
from tests.make.people import PASSWORD, give_password
from tests.resources.tokens.test_routes import Clock, time

__all__ = ["time"]  # a fixture
ADA = "ada@example.test"


@pytest.fixture
async def anybody(api: Api) -> AsyncIterator[AsyncCygniClient]:
    """Nobody yet; the owner of the first team has a password."""
    async with db.begin(api.pool) as tx:
        await give_password(tx, api.owner_id)
    async with api.client("") as client:
        yield client


async def log_in(client: AsyncCygniClient, email: str = ADA, password: str = PASSWORD) -> dict[str, Any]:
    return (await client.request("POST", "/auth/login", json={"email": email, "password": password})).data


async def audit(api: Api, event: str) -> list[dict[str, Any]]:
    async with api.pool.acquire() as connection:
        return [dict(row) for row in await connection.fetch("SELECT * FROM changes WHERE type = $1", event)]


async def test_a_password_gives_a_session_of_twelve_hours(api: Api, anybody: AsyncCygniClient, time: Clock) -> None:
    answer = await anybody.request("POST", "/auth/login", json={"email": " Ada@Example.test ", "password": PASSWORD})
    session = answer.data
    assert answer.headers["cache-control"] == "no-store"
    assert token_format.kind_of(session["secret"]) == "session"
    assert (session["kind"], session["userId"], session["teamId"]) == ("session", api.owner_id, None)
    assert session["expiresAt"] == clock.text(time.now + timedelta(hours=12))
    client = api.client(session["secret"])
    me = (await client.request("GET", "/me")).data
    assert (me["user"]["email"], me["token"]["id"]) == (ADA, session["id"])
    assert "instance:admin" in me["token"]["scopes"]
    made = await client.request("POST", "/tokens", json={"name": "t", "scopes": ["*", "instance:admin"]})
    assert made.data["expiresAt"] is None
    [row] = await audit(api, "user.signed_in")
    assert (row["result"], row["actor_id"], row["actor_token_id"]) == ("success", api.owner_id, session["id"])
    assert (row["team_id"], row["actor_ip"]) == (api.team_id, "127.0.0.1")
    assert session["secret"] not in str(row)
    time.now += timedelta(hours=12)
    assert (await refused(client.request("GET", "/me"))).code == "token_expired"


@pytest.mark.parametrize(("email", "password"), [
    (ADA, PASSWORD + "."), (ADA, ""), (ADA, "x" * 128), ("nobody@example.test", PASSWORD),
    ("eve@example.test", PASSWORD), ("' OR 1=1", PASSWORD), ("", PASSWORD), ("\u202eada@example.test", PASSWORD),
])  # fmt: skip
async def test_who_is_nobody_learns_nothing(api: Api, anybody: AsyncCygniClient, email: str, password: str) -> None:
    """Eve has no password; the others are wrong or nobody. All get the same answer, and each is a row."""
    error = await refused(log_in(anybody, email, password))
    assert (error.status, error.code, error.details) == (401, "invalid_credentials", {})
    assert error.message == "This is not the e-mail address and password of anybody here."
    [row] = await audit(api, "user.sign_in_failed")
    assert (row["result"], row["actor_type"], row["actor_ip"]) == ("failed", "anonymous", "127.0.0.1")
    assert row["resource_id"] == {ADA: api.owner_id, "eve@example.test": api.outsider_id}.get(email)
    if row["resource_id"] is None and email:
        assert email not in str(row)
    assert PASSWORD not in str(row)


async def test_an_account_is_throttled_also_one_that_is_nobodys(
    api: Api, anybody: AsyncCygniClient, time: Clock
) -> None:
    for email in (ADA, "nobody@example.test"):
        tried = [refused(log_in(anybody, email, "wrong")) for _ in range(throttle.PER_ACCOUNT)]
        assert {error.code for error in await asyncio.gather(*tried)} == {"invalid_credentials"}
        time.now += timedelta(minutes=5)
        error = await refused(log_in(anybody, email))
        assert (error.status, error.code) == (429, "rate_limited")
        assert error.details == {"window": "signIn", "limit": 10, "retryAfterSeconds": 600}
        assert error.retry_after == 600
    assert len(await audit(api, "user.sign_in_failed")) == 20
    time.now += timedelta(minutes=5)
    assert (await log_in(anybody))["kind"] == "session"


async def test_success_makes_an_account_free_again(anybody: AsyncCygniClient) -> None:
    for _ in range(2):
        for _ in range(throttle.PER_ACCOUNT - 1):
            await refused(log_in(anybody, password="wrong"))
        await log_in(anybody)


async def test_an_address_is_throttled_and_others_are_not(
    api: Api, anybody: AsyncCygniClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "PER_ADDRESS", 3)
    for number in range(3):
        await refused(log_in(anybody, f"n{number}@example.test"))
    assert (await refused(log_in(anybody))).status == 429
    body = {"email": "bo@example.test", "password": "four rather odd words", "name": "Bo"}
    assert (await refused(anybody.request("POST", "/auth/register", json=body))).status == 429
    from tests.make.asgi import StreamingASGITransport

    elsewhere = StreamingASGITransport(api.app, client=("2001:db8::1", 1))
    async with AsyncCygniClient("", base_url="http://test/v1", transport=elsewhere, max_retries=0) as other:
        await log_in(other)


def test_a_subscribers_ipv6_addresses_are_one() -> None:
    assert throttle._network("2001:db8::1") == throttle._network("2001:db8::ffff") == "2001:db8::/64"
    assert throttle._network("::ffff:192.0.2.1") == throttle._network("192.0.2.1")


async def test_sessions_are_listed_and_ended(api: Api, anybody: AsyncCygniClient) -> None:
    first, second, third = [await log_in(anybody) for _ in range(3)]
    client = api.client(first["secret"])

    async def open_ids() -> list[str]:
        return [item["id"] for item in (await client.request("GET", "/auth/sessions")).data]

    assert await open_ids() == [third["id"], second["id"], first["id"]]
    assert "secret" not in (await client.request("GET", f"/auth/sessions/{second['id']}")).data
    for _ in range(2):
        assert (await client.request("DELETE", f"/auth/sessions/{second['id']}")).status == 204
    assert (await refused(api.client(second["secret"]).request("GET", "/me"))).code == "token_revoked"
    assert (await client.request("DELETE", "/auth/sessions")).status == 204
    assert await open_ids() == [first["id"]]
    assert (await client.request("GET", f"/auth/sessions/{third['id']}")).data["status"] == "revoked"
    assert len(await audit(api, "session.revoked")) == 2
    personal = (await client.request("POST", "/tokens", json={"name": "t", "scopes": ["*"]})).data
    for method in ("GET", "DELETE"):
        assert (await refused(client.request(method, f"/auth/sessions/{personal['id']}"))).status == 404
    theirs = api.client(await api.session(api.outsider_id))
    assert (await refused(theirs.request("DELETE", f"/auth/sessions/{first['id']}"))).status == 404
    assert (await client.request("POST", "/auth/logout")).status == 204
    assert (await refused(client.request("GET", "/me"))).code == "token_revoked"
    [row] = await audit(api, "user.signed_out")
    assert row["actor_token_id"] == first["id"]
    assert (await api.client(personal["secret"]).request("GET", "/me")).status == 200


async def test_the_setup_code_completes_the_owner_once(database_url: str, tmp_path: Path, time: Clock) -> None:
    async with api_of(database_url, tmp_path, registration="closed") as api:
        owner = await ensure_first_owner(api.pool)
        nobody = api.client("")
        body = {"email": "Boss@Example.test", "password": "four rather odd words", "name": "The Boss"}

        async def register(**fields: str) -> Any:
            return await nobody.request("POST", "/auth/register", json={**body, **fields})

        assert (await nobody.request("GET", "/auth/methods")).data["registration"] == "setup"
        assert (await refused(register())).code == "registration_closed"
        assert (await refused(register(setupCode="BBBB-BBBB-BBBB-BBBB-BBBB"))).code == "registration_closed"
        assert owner.setup_code is not None
        assert (await refused(register(setupCode=owner.setup_code, email=ADA))).code == "conflict"  # and not used up
        time.now += timedelta(hours=24)
        assert (await refused(register(setupCode=owner.setup_code))).code == "registration_closed"
        async with db.begin(api.pool) as tx:  # the test's own admin is older than the one that `up` makes
            await tx.execute("UPDATE users SET is_instance_admin = false WHERE id = $1", api.owner_id)
        code = await new_setup_code(api.pool)
        tries = await asyncio.gather(
            *(register(setupCode=code.lower().replace("-", " ")) for _ in range(3)), return_exceptions=True
        )
        [answer] = [tried for tried in tries if not isinstance(tried, BaseException)]
        assert (answer.status, answer.data["id"], answer.data["email"]) == (200, owner.user_id, "boss@example.test")
        assert (await nobody.request("GET", "/auth/methods")).data["registration"] == "closed"
        session = await log_in(nobody, "boss@example.test", "four rather odd words")
        me = (await api.client(session["secret"]).request("GET", "/me")).data
        assert ([team["id"] for team in me["teams"]], me["user"]["isInstanceAdmin"]) == ([owner.team_id], True)
        [row] = await audit(api, "user.updated")
        assert row["actor_id"] == owner.user_id
        assert "four rather" not in str(await audit(api, "user.updated"))
        from cygnid.core.errors import InvalidState

        with pytest.raises(InvalidState):
            await new_setup_code(api.pool)


async def test_open_registration_makes_a_user_of_no_team(anybody: AsyncCygniClient, api: Api) -> None:
    body = {"email": "Bo@example.test", "password": "four rather odd words", "name": "  Bo "}
    answer = await anybody.request("POST", "/auth/register", json=body)
    assert (answer.status, answer.data["name"], answer.data["emailVerified"]) == (201, "Bo", False)
    assert (await refused(anybody.request("POST", "/auth/register", json=body))).status == 409
    session = await log_in(anybody, "bo@example.test", "four rather odd words")
    me = (await api.client(session["secret"]).request("GET", "/me")).data
    assert (me["teams"], me["user"]["isInstanceAdmin"]) == ([], False)
    assert "instance:admin" not in me["token"]["scopes"]


@pytest.mark.parametrize(("fields", "field"), [
    ({"email": "bo"}, "email"), ({"email": "bo@example"}, "email"), ({"email": "a b@example.com"}, "email"),
    ({"email": "bo@example.com\r\nBcc: eve@example.com"}, "email"),
    ({"email": "bo@example.com,eve@example.com"}, "email"),
    ({"name": "  "}, "name"), ({"name": "B\no"}, "name"), ({"name": "x" * 101}, "name"),
    ({"password": "too short"}, "password"), ({"password": "x" * 129}, "password"),
    ({"password": "Password12345!"}, "password"), ({"isInstanceAdmin": "true"}, "isInstanceAdmin"),
])  # fmt: skip
async def test_bad_fields_are_named(anybody: AsyncCygniClient, fields: dict[str, str], field: str) -> None:
    body = {"email": "bo@example.com", "password": "four rather odd words", "name": "Bo", **fields}
    error = await refused(anybody.request("POST", "/auth/register", json=body))
    assert (error.status, error.details["field"]) == (400, field)


async def test_what_has_ended_is_dropped(api: Api, anybody: AsyncCygniClient, time: Clock) -> None:
    await refused(log_in(anybody, password="wrong"))
    session = await log_in(anybody)
    async with db.begin(api.pool) as tx:
        await one_time.give(tx, "setup", "x", user_id=api.outsider_id)

    class Backends:
        pool = api.pool

    async def left() -> list[int]:
        counts = [
            "SELECT count(*) FROM sign_in_attempts",
            "SELECT count(*) FROM one_time_secrets",
            "SELECT count(*) FROM tokens WHERE kind = 'session'",
        ]
        async with api.pool.acquire() as connection:
            return [await connection.fetchval(sql) for sql in counts]

    await forget_ended_sign_ins(Backends())
    assert await left() == [1, 1, 1]
    time.now += timedelta(days=31)
    await forget_ended_sign_ins(Backends())
    assert await left() == [0, 0, 0]
    assert session["id"] in str(await audit(api, "user.signed_in"))
