"""Git connections through the API: whose they are, and that what they keep is never shown."""

from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.core import db
from cygnid.core.secrets import Secrets
from cygnid.resources.connections import actions, queries
from tests.make.api import Api
from tests.make.calls import refused

TOKEN = "ghp_a-very-secret-token"
SSH = {"name": "git", "host": "git.example.com", "auth": {"type": "sshKey"}}


async def make(client: AsyncCygniClient, **fields: Any) -> Any:
    return (await client.request("POST", "/git/connections", json=SSH | fields)).data


async def test_a_key_is_made_and_its_public_half_always_shown(api: Api) -> None:
    owner = await api.owner()
    made = await make(owner)
    assert made["publicKey"].startswith("ssh-ed25519 AAAA")
    assert (made["auth"], made["provider"], made["teamId"]) == (
        {"type": "sshKey", "username": None}, "generic", api.team_id,
    )  # fmt: skip
    assert (await owner.raw.git_connections.get(made["id"])).data == made
    assert (await owner.raw.git_connections.list()).data == [made]
    async with db.read(api.pool) as read:
        private = await queries.secret(read, Secrets(api.settings.key()), made["id"])
    assert private is not None
    assert private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")


async def test_a_token_is_sealed_and_never_shown(api: Api) -> None:
    owner = await api.owner()
    made = await make(owner, host="git.example.com:8443", auth={"type": "token", "token": TOKEN, "username": "bot"})
    assert (made["auth"], made["publicKey"]) == ({"type": "token", "username": "bot"}, None)
    async with db.read(api.pool) as read:
        rows = await read.value(
            "SELECT json_agg(c)::text || (SELECT json_agg(g) FROM git_connections g) FROM changes c"
        )
        assert await queries.secret(read, Secrets(api.settings.key()), made["id"]) == TOKEN
    assert TOKEN not in rows
    assert "git_connection.created" in rows


@pytest.mark.parametrize(("fields", "field"), [
    ({"name": ""}, "name"),
    ({"host": "https://git.example.com"}, "host"),
    ({"host": "git.example.com/team"}, "host"),
    ({"host": "me@git.example.com"}, "host"),
    ({"provider": "github"}, "provider"),
    ({"auth": {"type": "token"}}, "auth.token"),
    ({"auth": {"type": "token", "token": "two words"}}, "auth.token"),
    ({"auth": {"type": "token", "token": "a\nb"}}, "auth.token"),
    ({"auth": {"type": "token", "token": "a", "username": "a:b"}}, "auth.username"),
    ({"auth": {"type": "sshKey", "token": TOKEN}}, "auth.token"),
    ({"auth": {"type": "token", "token": "a"}, "knownHosts": "git ssh-ed25519 AAAA"}, "knownHosts"),
    ({"auth": {"type": "app"}}, "auth.type"),
])  # fmt: skip
async def test_bad_fields_are_named(api: Api, fields: dict[str, Any], field: str) -> None:
    error = await refused(make(await api.owner(), **fields))
    assert (error.status, error.details["field"]) == (400, field)
    assert TOKEN not in str(error)


async def test_only_its_team_has_it_and_only_admins_make_one(api: Api) -> None:
    made = await make(await api.owner())
    path = f"/git/connections/{made['id']}"
    outsider, developer = await api.outsider(), await api.member("developer")
    for method in ("GET", "DELETE"):
        assert (await refused(outsider.request(method, path))).status == 404
    assert (await outsider.raw.git_connections.list()).data == []
    assert (await developer.request("GET", path)).data == made
    for asked in (developer.request("DELETE", path), make(developer)):
        assert (await refused(asked)).code == "insufficient_scope"


async def test_one_that_a_project_uses_stays(api: Api) -> None:
    owner = await api.owner()
    made = await make(owner)
    source = {"repositoryUrl": "git@git.example.com:team/app.git", "connectionId": made["id"]}
    await owner.projects.create(name="shop", source=source)
    path = f"/git/connections/{made['id']}"
    assert (await refused(owner.request("DELETE", path))).code == "in_use"
    await owner.projects.update("shop", source={"connectionId": None})
    assert (await owner.request("DELETE", path)).status == 204
    assert (await refused(owner.request("GET", path))).status == 404


async def test_a_host_is_known_by_the_key_it_showed_first(api: Api) -> None:
    made = await make(await api.owner())
    for key in ("git.example.com ssh-ed25519 AAAA\n", "git.example.com ssh-ed25519 BBBB\n"):
        async with db.begin(api.pool) as tx:
            await actions.keep_known_hosts(tx, made["id"], key)
    found = (await (await api.owner()).raw.git_connections.get(made["id"])).data
    assert found["knownHosts"] == "git.example.com ssh-ed25519 AAAA\n"
