"""Tokens through the API: made, seen, changed, ended, and by whom."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.core import clock, db, token_format
from tests.make.api import Api
from tests.make.calls import create_project, refused


class Clock:
    def __init__(self) -> None:
        self.now = clock.now()

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time() -> Iterator[Clock]:
    made = Clock()
    clock.set_clock(made)
    yield made
    clock.set_clock(None)


async def create(client: AsyncCygniClient, *scopes: str, **fields: Any) -> dict[str, Any]:
    body = {"name": "t", "scopes": list(scopes or ("projects:read",)), **fields}
    return (await client.request("POST", "/tokens", json=body)).data


async def ids(client: AsyncCygniClient, **query: Any) -> set[str]:
    return {item["id"] for item in (await client.request("GET", "/tokens", query=query)).data}


async def test_a_new_token_works_and_its_secret_is_seen_once(api: Api) -> None:
    owner = await api.owner()
    answer = await owner.request("POST", "/tokens", json={"name": "ci", "scopes": ["projects:read"]})
    made = answer.data
    assert (answer.status, answer.headers["location"]) == (201, f"/v1/tokens/{made['id']}")
    assert answer.headers["cache-control"] == "no-store"
    secret = made.pop("secret")
    assert token_format.kind_of(secret) == "personal"
    assert (made["prefix"], made["last4"], made["status"]) == (secret[:9], secret[-4:], "active")
    assert (made["kind"], made["userId"], made["teamId"]) == ("personal", api.owner_id, None)
    used = api.client(secret)
    assert (await used.request("GET", "/tokens/current")).data["id"] == made["id"]
    assert (await used.request("GET", "/projects")).status == 200
    assert (await refused(used.request("GET", "/tokens"))).code == "insufficient_scope"
    assert (await owner.request("GET", f"/tokens/{made['id']}")).data == made
    assert secret not in str((await owner.request("GET", "/tokens")).data)
    async with db.read(api.pool) as read:
        stored = await read.value("SELECT string_agg(c::text, '') FROM changes c WHERE type = 'token.created'")
    assert secret not in stored


async def test_the_kind_follows_the_caller(api: Api) -> None:
    owner = await api.owner()
    project = await create_project(owner)
    bot = await create(owner, "*", kind="team")
    assert (bot["teamId"], bot["userId"], bot["secret"][:5]) == (api.team_id, None, "cygt_")
    by_bot = api.client(bot["secret"])
    assert (await create(by_bot))["kind"] == "team"
    assert (await refused(create(by_bot, kind="personal"))).status == 403
    bound = await create(owner, "tokens:write", kind="deploy", projectId="shop", environment="production")
    assert (bound["projectId"], bound["environment"], bound["teamId"]) == (project["id"], "production", api.team_id)
    assert bound["secret"].startswith("cygd_")
    by_bound = api.client(bound["secret"])
    assert (await refused(create(by_bound, "tokens:write", kind="deploy", projectId="shop"))).status == 403
    again = await create(by_bound, "tokens:write", kind="deploy", projectId="shop", environment="production")
    assert again["projectId"] == project["id"]


@pytest.mark.parametrize(("fields", "status", "field"), [
    ({"kind": "deploy"}, 400, "projectId"),
    ({"kind": "team", "projectId": "shop"}, 400, "projectId"),
    ({"kind": "deploy", "projectId": "none"}, 404, None),
    ({"kind": "deploy", "projectId": "shop", "environment": "none"}, 404, None),
    ({"kind": "deploy", "projectId": "foreign"}, 404, None),
    ({"kind": "team", "teamId": "team_none"}, 404, None),
    ({"kind": "session"}, 400, "kind"),
    ({"scopes": []}, 400, "scopes"),
    ({"scopes": ["projects:fly"]}, 400, "scopes"),
    ({"name": ""}, 400, "name"),
    ({"expiresAt": "2020-01-01T00:00:00Z"}, 400, "expiresAt"),
    ({"expiresAt": "2099-01-01T00:00:00"}, 400, "expiresAt"),
    ({"allowedIps": ["10.0.0.1/8"]}, 400, "allowedIps[0]"),
    ({"allowedIps": ["here"]}, 400, "allowedIps[0]"),
    ({"secret": "mine"}, 400, "secret"),
])  # fmt: skip
async def test_bad_fields_are_named(api: Api, fields: dict[str, Any], status: int, field: str | None) -> None:
    owner = await api.owner()
    await create_project(owner)
    await create_project(await api.outsider(), "foreign")
    error = await refused(owner.request("POST", "/tokens", json={"name": "t", "scopes": ["projects:read"], **fields}))
    assert (error.status, error.details.get("field")) == (status, field)


async def test_a_repeated_create_shows_the_secret_for_ten_minutes(api: Api, time: Clock) -> None:
    owner = await api.owner()
    body = {"name": "t", "scopes": ["projects:read"]}
    first = await owner.request("POST", "/tokens", json=body, idempotency_key="k")
    time.now += timedelta(minutes=9)
    again = await owner.request("POST", "/tokens", json=body, idempotency_key="k")
    assert (again.data, again.headers["idempotent-replayed"]) == (first.data, "true")
    time.now += timedelta(minutes=2)
    late = await refused(owner.request("POST", "/tokens", json=body, idempotency_key="k"))
    assert (late.status, late.code, late.details) == (409, "secret_not_replayable", {"resourceId": first.data["id"]})


async def test_ended_tokens_say_how_they_ended_and_unknown_ones_do_not(api: Api, time: Clock) -> None:
    owner = await api.owner()
    ends = await create(owner, expiresAt=clock.text(time.now + timedelta(hours=1)))
    revoked = await create(owner)
    for _ in range(2):
        assert (await owner.request("DELETE", f"/tokens/{revoked['id']}")).status == 204
    time.now += timedelta(hours=2)
    for secret, code in (
        (ends["secret"], "token_expired"), (revoked["secret"], "token_revoked"),
        (token_format.mint("team"), "unauthorized"), ("cygp_nonsense", "unauthorized"),
    ):  # fmt: skip
        error = await refused(api.client(secret).request("GET", "/me"))
        assert (error.status, error.code) == (401, code)
    assert await ids(owner, status="revoked") == {revoked["id"]}
    assert await ids(owner, status="expired,revoked") == {revoked["id"], ends["id"]}
    assert (await owner.request("GET", f"/tokens/{revoked['id']}")).data["status"] == "revoked"
    change = await refused(owner.request("PATCH", f"/tokens/{revoked['id']}", json={"name": "x"}))
    assert (change.status, change.code) == (409, "invalid_state")


async def test_lists_are_paged_and_filtered(api: Api) -> None:
    owner = await api.owner()
    project = await create_project(owner)
    made = {(await create(owner, kind="team", name=f"t{number}"))["id"] for number in range(5)}
    bound = await create(owner, kind="deploy", projectId="shop")
    assert await ids(owner, kind="team") == made
    assert await ids(owner, kind="team,deploy") == made | {bound["id"]}
    assert await ids(owner, projectId=project["id"]) == {bound["id"]}
    assert len(await ids(owner, userId=api.owner_id)) == 1
    seen: list[str] = []
    page = await owner.request("GET", "/tokens", query={"kind": "team", "limit": 2, "sort": "name"})
    assert page.meta["pagination"]["total"] == 5
    while True:
        seen += [item["name"] for item in page.data]
        if not (cursor := page.meta["pagination"]["nextCursor"]):
            break
        page = await owner.request("GET", "/tokens", query={"kind": "team", "limit": 2, "cursor": cursor})
    assert seen == [f"t{number}" for number in range(5)]
    assert (await refused(owner.request("GET", "/tokens?kind=hook"))).status == 400


async def test_teams_are_apart_and_roles_hold(api: Api) -> None:
    owner, outsider, developer = await api.owner(), await api.outsider(), await api.member("developer")
    auditor = await api.member("auditor")
    bot, own = await create(owner, kind="team"), await create(developer)
    for token in (bot, own):
        for method, path, data in (
            ("GET", "", None), ("PATCH", "", {"name": "x"}), ("DELETE", "", None), ("POST", "/rotate", {}),
        ):  # fmt: skip
            error = await refused(outsider.request(method, f"/tokens/{token['id']}{path}", json=data))
            assert (error.status, error.code) == (404, "not_found")
    assert bot["id"] not in await ids(outsider) | await ids(developer)
    for method, path, data in (("GET", "", None), ("PATCH", "", {"name": "x"}), ("DELETE", "", None)):
        error = await refused(developer.request(method, f"/tokens/{bot['id']}{path}", json=data))
        assert (error.status, error.code) == (403, "insufficient_scope")
    assert (await auditor.request("GET", f"/tokens/{bot['id']}")).status == 200
    assert (await refused(auditor.request("DELETE", f"/tokens/{bot['id']}"))).status == 403
    assert (await refused(create(developer, kind="team"))).code == "insufficient_scope"
    assert (await refused(create(developer, "billing:write"))).details["requiredScopes"] == ["billing:write"]
    # a colleague's own token: an owner sees and ends it, and does nothing else with it
    assert (await owner.request("GET", f"/tokens/{own['id']}")).data["id"] == own["id"]
    for method, path, data in (("PATCH", "", {"name": "x"}), ("POST", "/rotate", {})):
        assert (await refused(owner.request(method, f"/tokens/{own['id']}{path}", json=data))).code == "forbidden"
    assert (await owner.request("DELETE", f"/tokens/{own['id']}")).status == 204


async def test_a_deploy_token_sees_the_tokens_of_its_own_place(api: Api) -> None:
    owner = await api.owner()
    await create_project(owner)
    await create_project(owner, "other")
    bot = await create(owner, kind="team")
    mine = await create(owner, "tokens:read", kind="deploy", projectId="shop")
    other = await create(owner, kind="deploy", projectId="other")
    bound = api.client(mine["secret"])
    assert await ids(bound) == {mine["id"]}
    for hidden in (bot, other):
        assert (await refused(bound.request("GET", f"/tokens/{hidden['id']}"))).status == 404


async def test_a_change_takes_and_never_gives(api: Api) -> None:
    owner = await api.owner()
    made = await create(owner, "projects:*", "env:read", kind="team")
    path = f"/tokens/{made['id']}"
    seen = await owner.request("GET", path)
    changed = await owner.request(
        "PATCH", path, json={"name": "new", "scopes": ["projects:read"], "allowedIps": ["10.0.0.0/8"]},
        if_match=seen.headers["etag"],
    )  # fmt: skip
    assert (changed.data["name"], changed.data["scopes"], changed.data["allowedIps"]) == (
        "new", ["projects:read"], ["10.0.0.0/8"],
    )  # fmt: skip
    for data in ({"scopes": ["projects:read", "env:read"]}, {"scopes": ["*"]}, {"scopes": []}, {"expiresAt": None}):
        assert (await refused(owner.request("PATCH", path, json=data))).status == 400
    for method in ("PATCH", "DELETE"):
        stale = await refused(
            owner.request(
                method, path, json={"name": "x"} if method == "PATCH" else None, if_match=seen.headers["etag"]
            )
        )
        assert (stale.status, stale.details["etag"]) == (412, changed.headers["etag"])
    same = await owner.request("PATCH", path, json={"name": "new"})
    assert same.headers["etag"] == changed.headers["etag"]
    assert (await owner.request("PATCH", path, json={"allowedIps": None})).data["allowedIps"] == []
    async with db.read(api.pool) as read:
        assert await read.value("SELECT count(*) FROM changes WHERE type = 'token.updated'") == 2


async def test_rotation_keeps_the_id_and_both_work_for_a_while(api: Api, time: Clock) -> None:
    owner = await api.owner()
    made = await create(owner)
    new = await owner.request("POST", f"/tokens/{made['id']}/rotate", json={"overlapSeconds": 60})
    assert (new.status, new.data["id"], new.headers["cache-control"]) == (200, made["id"], "no-store")
    assert new.data["previousSecretExpiresAt"] == clock.text(time.now + timedelta(seconds=60))
    for secret in (made["secret"], new.data["secret"]):
        assert (await api.client(secret).request("GET", "/me")).status == 200
    time.now += timedelta(seconds=61)
    assert (await refused(api.client(made["secret"]).request("GET", "/me"))).code == "unauthorized"
    assert (await api.client(new.data["secret"]).request("GET", "/me")).status == 200
    for wrong in (-1, 86_401, "1"):
        error = await refused(owner.request("POST", f"/tokens/{made['id']}/rotate", json={"overlapSeconds": wrong}))
        assert (error.status, error.details["field"]) == (400, "overlapSeconds")


async def test_no_token_outlives_the_one_that_made_it(api: Api, time: Clock) -> None:
    owner = await api.owner()
    end = time.now + timedelta(hours=1)
    lasting = await create(owner)
    ends = await create(owner, "*", expiresAt=clock.text(end))
    by_ending = api.client(ends["secret"])
    for kind in ("personal", "team"):
        for later in (None, clock.text(end + timedelta(seconds=1))):
            error = await refused(create(by_ending, kind=kind, expiresAt=later))
            assert (error.status, error.code) == (403, "forbidden")
            assert clock.text(end) in str(error.hint)
        assert (await create(by_ending, kind=kind, expiresAt=clock.text(end)))["expiresAt"] == clock.text(end)
    assert (await refused(by_ending.request("POST", f"/tokens/{lasting['id']}/rotate", json={}))).status == 403
    assert (await by_ending.request("POST", f"/tokens/{ends['id']}/rotate", json={"overlapSeconds": 60})).status == 200


async def test_no_token_is_of_use_where_the_one_that_made_it_is_not(api: Api) -> None:
    owner = await api.owner()
    free = await create(owner)
    held = await create(owner, "*", allowedIps=["127.0.0.0/8", "10.1.0.0/16"])
    by_held = api.client(held["secret"])
    for networks in ([], ["0.0.0.0/0"], ["127.0.0.1", "10.2.0.0/16"], ["::1"]):
        assert (await refused(create(by_held, allowedIps=networks))).code == "forbidden"
        change = by_held.request("PATCH", f"/tokens/{held['id']}", json={"allowedIps": networks})
        assert (await refused(change)).code == "forbidden"
    assert (await refused(by_held.request("POST", f"/tokens/{free['id']}/rotate", json={}))).status == 403
    made = await create(by_held, allowedIps=["127.0.0.1", "10.1.2.0/24"])
    assert made["allowedIps"] == ["127.0.0.1", "10.1.2.0/24"]
    narrowed = await by_held.request("PATCH", f"/tokens/{held['id']}", json={"allowedIps": ["127.0.0.1"]})
    assert narrowed.data["allowedIps"] == ["127.0.0.1"]


async def test_who_lost_a_role_gives_it_to_no_new_token(api: Api) -> None:
    admin = await api.member("admin")
    await create(admin, kind="team")
    async with db.begin(api.pool) as tx:
        await tx.execute("DELETE FROM members WHERE user_id <> $1 AND team_id = $2", api.owner_id, api.team_id)
    assert (await refused(create(admin, kind="team"))).status == 403
    assert (await refused(create(admin, kind="team", teamId=api.team_id))).status == 404


async def test_me_is_whoever_asks(api: Api) -> None:
    owner = await api.owner()
    me = await owner.request("GET", "/me")
    assert (me.data["user"]["id"], me.data["user"]["isInstanceAdmin"], me.data["token"]["kind"]) == (
        api.owner_id, True, "personal",
    )  # fmt: skip
    assert [(team["id"], team["slug"], team["roleName"]) for team in me.data["teams"]] == [
        (api.team_id, "acme", "owner")
    ]
    assert (await owner.request("GET", "/me", headers={"If-None-Match": me.headers["etag"]})).status == 304
    bot = api.client((await create(owner, kind="team"))["secret"])
    by_bot = (await bot.request("GET", "/me")).data
    assert by_bot["user"] is None
    assert by_bot["teams"] == [{"id": api.team_id, "name": "Acme", "slug": "acme", "roleId": None, "roleName": None}]
    current = await bot.request("GET", "/tokens/current")
    assert by_bot["token"] == current.data
    assert (
        await bot.request("GET", "/tokens/current", headers={"If-None-Match": current.headers["etag"]})
    ).status == 304
    assert (await refused(api.client("").request("GET", "/me"))).status == 401
