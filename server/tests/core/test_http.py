"""The door of every route: one small noun of the test's own, on a real database."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import httpx2
import msgspec
import pytest
from msgspec import Meta

from cygnid.core import db
from cygnid.core.access import Permission, TeamAccess, team_access
from cygnid.core.actors import Actor
from cygnid.core.db import Read, Tx
from cygnid.core.errors import NameTaken, NotFound, PreconditionFailed, Unauthorized
from cygnid.core.front import asgi
from cygnid.core.http import OPERATIONS, Answer, Call, Services, operation
from cygnid.core.paging import Listing, PageQuery, fetch
from cygnid.core.ratelimit import Limiter
from cygnid.core.schemas import In, Out, Page
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.settings import Settings

_first = len(OPERATIONS)


class Thing(Out, frozen=True, kw_only=True):
    id: str
    size: int


class ThingIn(In, frozen=True, kw_only=True):
    id: Annotated[str, Meta(max_length=9)]
    size: int = 1


class ThingQuery(In, frozen=True, kw_only=True):
    least: int = 0


class Stored(msgspec.Struct, frozen=True):
    id: str
    size: int
    version: int


class Team(TeamAccess):
    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> TeamAccess:
        return await team_access(read, call.actor, call.path["team"], needs)


@operation("GET", "/v1/{team}/things", id="things.list", needs=Permission.PROJECTS_READ)
async def list_things(read: Read, access: Team, query: ThingQuery) -> list[Thing]:
    """List things."""
    return await read.all(Thing, "SELECT id, size FROM things WHERE size >= $1 ORDER BY id", query.least)


@operation("GET", "/v1/{team}/pages", id="things.pages", needs=Permission.PROJECTS_READ)
async def page_things(read: Read, access: Team, query: PageQuery) -> Page[Thing]:
    """List things by page."""
    return await fetch(
        read, Thing, Listing(select="SELECT id, size FROM things", sorts={"id": "id"}, default="id"), query
    )


@operation("GET", "/v1/{team}/things/{id}", id="things.get", needs=Permission.PROJECTS_READ)
async def get_thing(read: Read, access: Team, id: str) -> Answer:  # noqa: A002
    """One thing."""
    found = await read.one(Stored, "SELECT * FROM things WHERE id = $1", id)
    if found is None:
        raise NotFound
    return Answer(data=Thing(id=found.id, size=found.size), version=found.version)


@operation("POST", "/v1/{team}/things", id="things.create", needs=Permission.PROJECTS_WRITE, status=201)
async def create_thing(tx: Tx, access: Team, data: ThingIn) -> Answer:
    """Make a thing."""
    async with tx.unique(things_pkey=NameTaken()):
        await tx.execute("INSERT INTO things VALUES ($1, $2, 1)", data.id, data.size)
    await tx.execute("INSERT INTO log VALUES ($1)", data.id)
    return Answer(data=Thing(id=data.id, size=data.size), version=1, location=f"/v1/x/things/{data.id}")


@operation("PATCH", "/v1/{team}/things/{id}", id="things.update", needs=Permission.PROJECTS_WRITE)
async def update_thing(tx: Tx, access: Team, call: Call, id: str, data: ThingIn) -> Answer:  # noqa: A002
    """Change a thing."""
    version = await tx.value(
        "UPDATE things SET size = $2, version = version + 1 WHERE id = $1 AND version = COALESCE($3, version)"
        " RETURNING version",
        id,
        data.size,
        call.if_match,
    )
    if version is None:
        raise PreconditionFailed
    return Answer(data=Thing(id=id, size=data.size), version=version)


@operation("DELETE", "/v1/{team}/things/{id}", id="things.delete", needs=Permission.PROJECTS_DELETE, status=204)
async def delete_thing(tx: Tx, access: Team, id: str) -> None:  # noqa: A002
    """Remove a thing."""
    raise RuntimeError("a secret inside")


MINE = OPERATIONS[_first:]
del OPERATIONS[_first:]


async def authenticate(read: Read, secret: str, ip: str | None) -> Actor:
    plan, _, scopes = secret.partition("-")
    if plan not in ("free", "enterprise"):
        raise Unauthorized
    return Actor(
        type="token", id="tok_1", name="t", token_id="tok_1", team_id="a", scopes=frozenset([scopes]), plan=plan
    )


@pytest.fixture
async def client(database_url: str) -> AsyncGenerator[httpx2.AsyncClient]:
    pool = await db.connect(database_url, size=4)
    async with db.begin(pool) as tx:
        await tx.execute("CREATE TABLE things (id text PRIMARY KEY, size int, version int)")
        await tx.execute("CREATE TABLE log (id text, FOREIGN KEY (id) REFERENCES things DEFERRABLE INITIALLY DEFERRED)")
    services = Services(
        settings=Settings(),
        pool=pool,
        secrets=Secrets(bytes(32)),
        limiter=Limiter(),
        authenticate=authenticate,
        wakeups=Wakeups(database_url),
        stopping=asyncio.Event(),
    )
    transport = httpx2.ASGITransport(app=asgi(services, MINE), raise_app_exceptions=False)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://api", headers={"Authorization": "Bearer enterprise-*"}
    ) as made:
        made.pool = pool
        yield made
    await pool.close()


def error(answer: httpx2.Response) -> dict[str, Any]:
    body = answer.json()
    assert set(body) == {"error", "meta"}
    assert set(body["error"]) == {"code", "message", "hint", "details", "docUrl", "errors"}
    assert body["meta"]["requestId"] == answer.headers["x-request-id"]
    return body["error"]


async def make(client: httpx2.AsyncClient, name: str = "one", **headers: str) -> httpx2.Response:
    return await client.post("/v1/a/things", json={"id": name}, headers=headers)


async def test_the_envelope_has_data_and_meta(client: httpx2.AsyncClient):
    answer = await make(client, **{"X-Request-Id": "mine-12345"})
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/x/things/one"
    body = answer.json()
    assert body["data"] == {"id": "one", "size": 1}
    assert body["meta"]["requestId"] == answer.headers["x-request-id"] == "mine-12345"
    assert len(body["meta"]["timestamp"]) == len("2024-01-01T00:00:00Z")


@pytest.mark.parametrize("given", ["short", "with space 123", "x" * 129, ""])
async def test_a_malformed_request_id_is_replaced(client: httpx2.AsyncClient, given: str):
    answer = await make(client, **{"X-Request-Id": given})
    assert answer.headers["x-request-id"].startswith("req_")


async def test_no_token_a_wrong_one_and_a_stranger(client: httpx2.AsyncClient):
    for header in ("", "Basic x", "Bearer nobody"):
        answer = await client.get("/v1/a/things", headers={"Authorization": header})
        assert (answer.status_code, error(answer)["code"]) == (401, "unauthorized")
    assert (await client.get("/v1/b/things")).status_code == 404
    answer = await client.post(
        "/v1/a/things", json={"id": "x"}, headers={"Authorization": "Bearer enterprise-projects:read"}
    )
    assert (answer.status_code, error(answer)["code"]) == (403, "insufficient_scope")
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="projects:write"'


async def test_a_token_in_the_query_is_refused(client: httpx2.AsyncClient):
    assert (await client.get("/v1/a/things?token=enterprise-*")).status_code == 401


async def test_errors_of_the_framework_come_in_the_envelope(client: httpx2.AsyncClient):
    assert error(await client.get("/v1/nothing"))["code"] == "not_found"
    answer = await client.put("/v1/a/things")
    assert (answer.status_code, error(answer)["code"]) == (405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]
    answer = await client.post("/v1/a/things", content=b"x" * 1_000_001, headers={"Content-Type": "application/json"})
    assert (answer.status_code, error(answer)["code"]) == (413, "payload_too_large")
    answer = await client.post("/v1/a/things", content=b"id=1", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, error(answer)["code"]) == (415, "unsupported_media_type")


async def test_what_nobody_foresaw_is_a_500_that_tells_nothing(client: httpx2.AsyncClient):
    answer = await client.delete("/v1/a/things/one")
    assert (answer.status_code, error(answer)["code"]) == (500, "internal_error")
    assert "secret" not in answer.text


async def test_a_failing_commit_is_a_500_and_nothing_happened(client: httpx2.AsyncClient):
    async with db.begin(client.pool) as tx:
        await tx.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'")
        await tx.execute(
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON things DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    answer = await make(client, **{"Idempotency-Key": "k"})
    assert (answer.status_code, error(answer)["code"]) == (500, "internal_error")
    async with db.read(client.pool) as read:
        assert await read.value("SELECT count(*) FROM things") == 0
        assert await read.value("SELECT count(*) FROM idempotency") == 0


async def test_a_taken_name_is_a_conflict(client: httpx2.AsyncClient):
    await make(client)
    answer = await make(client)
    assert (answer.status_code, error(answer)["code"]) == (409, "name_taken")


async def test_unknown_parameters_are_refused(client: httpx2.AsyncClient):
    answer = await client.get("/v1/a/things?lesat=1")
    assert error(answer)["details"] == {"parameter": "lesat", "allowed": ["least"]}
    answer = await client.post("/v1/a/things?x=1", json={"id": "one"})
    assert error(answer)["code"] == "unknown_parameter"


async def test_an_etag_answers_304_until_something_changes(client: httpx2.AsyncClient):
    await make(client)
    first = await client.get("/v1/a/things/one")
    tag = first.headers["etag"]
    digest = hashlib.sha256(b'{"id":"one","size":1}').digest()[:16]
    assert tag == f'"{base64.urlsafe_b64encode(digest).decode().rstrip("=")}.1"'
    again = await client.get("/v1/a/things/one", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    changed = await client.patch("/v1/a/things/one", json={"id": "one", "size": 2}, headers={"If-Match": tag})
    assert (changed.status_code, changed.headers["etag"].endswith('.2"')) == (200, True)
    assert (await client.get("/v1/a/things/one", headers={"If-None-Match": tag})).status_code == 200
    lost = await client.patch("/v1/a/things/one", json={"id": "one", "size": 3}, headers={"If-Match": tag})
    assert (lost.status_code, error(lost)["code"]) == (412, "precondition_failed")


async def test_a_key_replays_the_answer_and_acts_once(client: httpx2.AsyncClient):
    first = await make(client, **{"Idempotency-Key": '"k-1"'})
    again = await make(client, **{"Idempotency-Key": "k-1"})
    assert (again.status_code, again.json()["data"]) == (201, first.json()["data"])
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    other = await make(client, "two", **{"Idempotency-Key": "k-1"})
    assert (other.status_code, error(other)["code"]) == (422, "idempotency_key_reused")


async def test_a_replay_is_not_for_who_lost_the_permission(client: httpx2.AsyncClient):
    await make(client, **{"Idempotency-Key": "k-1"})
    answer = await make(client, **{"Idempotency-Key": "k-1", "Authorization": "Bearer enterprise-projects:read"})
    assert answer.status_code == 403


async def test_equal_requests_at_once_act_once(client: httpx2.AsyncClient):
    answers = await asyncio.gather(*(make(client, **{"Idempotency-Key": "k-2"}) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert any(answer.status_code == 201 for answer in answers)
    async with db.read(client.pool) as read:
        assert await read.value("SELECT count(*) FROM things") == 1


async def test_a_plan_is_counted_and_its_end_is_a_429(client: httpx2.AsyncClient):
    free = {"Authorization": "Bearer free-*"}
    first = await client.get("/v1/a/things", headers=free)
    assert first.headers["x-ratelimit-remaining"] == "99"
    tag = first.headers["etag"]
    free_of_charge = await client.get("/v1/a/things", headers={**free, "If-None-Match": tag})
    assert free_of_charge.status_code == 304
    assert "x-ratelimit-limit" not in free_of_charge.headers
    for _ in range(99):
        await client.get("/v1/a/things", headers=free)
    answer = await client.get("/v1/a/things", headers=free)
    assert (answer.status_code, error(answer)["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) > 0
    assert "x-ratelimit-limit" not in (await client.get("/v1/a/things")).headers


async def test_a_page_names_its_neighbours(client: httpx2.AsyncClient):
    for name in ("one", "two"):
        await make(client, name)
    answer = await client.get("/v1/a/pages?limit=1")
    assert [thing["id"] for thing in answer.json()["data"]] == ["one"]
    assert answer.json()["meta"]["pagination"]["total"] == 2
    assert 'rel="next"' in answer.headers["link"]


async def test_browsers_may_ask_from_anywhere(client: httpx2.AsyncClient):
    answer = await client.options("/v1/a/things", headers={"Origin": "https://x.test"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
    assert "Idempotency-Key" in answer.headers["access-control-allow-headers"]
    answer = await client.get("/v1/nothing")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-content-type-options"] == "nosniff"
