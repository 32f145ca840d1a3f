"""What changes a protected environment needs a grant there: every door, one by one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient
from cygnid.core import clock, db
from cygnid.core.ids import new_id
from tests.make.api import Api
from tests.make.calls import create_project, refused


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A project whose production is protected, with a variable in each corner."""

    api: Api
    owner: AsyncCygniClient
    developer: AsyncCygniClient
    developer_id: str
    ids: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Door:
    """A request that would change production, or show its secrets."""

    method: str
    path: str
    json: Any = None
    query: Mapping[str, str] = field(default_factory=dict[str, str])


def variable(**fields: Any) -> dict[str, Any]:
    return {"projectId": "shop", "key": "NEW", "value": "x", "type": "plain", **fields}


BULK = {"projectId": "shop", "environment": "production", "variables": [{"key": "A", "value": "b"}]}
DOORS = {
    "deploy": Door(method="POST", path="/deployments", json={"projectId": "shop", "uploadId": "{upload}"}),
    "deploy another's artifact": Door(
        method="POST", path="/deployments", json={"projectId": "shop", "deploymentId": "{staging}"}
    ),
    "take its artifact elsewhere": Door(
        method="POST",
        path="/deployments",
        json={"projectId": "shop", "deploymentId": "{live}", "environment": "staging"},
    ),
    "redeploy": Door(method="POST", path="/deployments/{live}/redeploy", json={}),
    "cancel": Door(method="POST", path="/deployments/{waiting}/cancel"),
    "delete a deployment": Door(method="DELETE", path="/deployments/{old}"),
    "promote into it": Door(method="POST", path="/deployments/{staging}/promote", json={"environment": "production"}),
    "promote out of it": Door(method="POST", path="/deployments/{live}/promote", json={"environment": "staging"}),
    "roll back to one": Door(method="POST", path="/deployments/{old}/rollback", json={}),
    "roll back": Door(method="POST", path="/projects/shop/rollback", json={}),
    "restart": Door(method="POST", path="/projects/shop/restart", json={}),
    "scale": Door(method="PATCH", path="/projects/shop/processes/web", json={"instances": 0}),
    "pause": Door(method="POST", path="/projects/shop/pause"),
    "resume": Door(method="POST", path="/projects/shop/resume"),
    "rename, which moves its address": Door(method="PATCH", path="/projects/shop", json={"name": "other"}),
    "a variable": Door(method="POST", path="/env", json=variable(environments=["production"])),
    "a variable of several": Door(method="POST", path="/env", json=variable(environments=["staging", "production"])),
    "a variable of previews": Door(method="POST", path="/env", json=variable(environments=["preview"])),
    "change one": Door(method="PATCH", path="/env/{secret}", json={"value": "other"}),
    "change one that is shared": Door(method="PATCH", path="/env/{shared}", json={"value": "other"}),
    "let one count there": Door(method="PATCH", path="/env/{free}", json={"environments": ["production"]}),
    "let one count there no more": Door(method="PATCH", path="/env/{shared}", json={"environments": ["staging"]}),
    "delete one": Door(method="DELETE", path="/env/{secret}"),
    "an earlier version": Door(method="POST", path="/env/{secret}/rollback", json={"version": 1}),
    "many at once": Door(method="PUT", path="/env/bulk", json=BULK),
    "none at once": Door(method="PUT", path="/env/bulk", json={**BULK, "variables": [], "prune": True}),
    "a file": Door(
        method="POST",
        path="/env/import",
        json={"projectId": "shop", "environment": "production", "content": "A=b\n"},
    ),
    "a file, tried": Door(
        method="POST",
        path="/env/import",
        json={"projectId": "shop", "environment": "production", "content": "A=b\n"},
        query={"dryRun": "true"},
    ),
    "reveal": Door(method="POST", path="/env/{secret}/reveal", json={"reason": "a test"}),
    "reveal what is shared": Door(method="POST", path="/env/{shared}/reveal", json={"reason": "a test"}),
    "export": Door(
        method="POST",
        path="/env/export",
        json={"projectId": "shop", "environment": "production", "format": "dotenv", "reason": "a test"},
    ),
    "export what previews have": Door(
        method="POST",
        path="/env/export",
        json={"projectId": "shop", "environment": "preview", "format": "dotenv", "reason": "a test"},
    ),
}


@pytest.fixture
async def shop(api: Api, tmp_path: Any) -> Shop:
    """Production and a preview are protected, staging is not. The developer may do everything there that the guarded
    permissions name, by a role in the whole team."""
    owner = await api.owner()
    project = await create_project(owner, "shop")
    for name, kind in (("staging", "custom"), ("pr-1", "preview")):
        await owner.request("POST", "/projects/shop/environments", json={"name": name, "type": kind})
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "index.html").write_text("hello")
    ids = {"project": project["id"], "upload": (await owner.uploads.from_directory(tmp_path / "source")).id}
    for key, environments in (
        ("secret", ["production"]),
        ("shared", ["staging", "production"]),
        ("free", ["staging"]),
        ("previews", ["preview"]),
    ):
        made = await owner.request(
            "POST", "/env", json=variable(key=key.upper(), environments=environments, type="secret", value="a-long-one")
        )
        ids[key] = made.data["id"]
    developer, developer_id = await member(api, "developer", "env:reveal")
    ids["old"], ids["live"] = (
        await past(api, ids["project"], "production"),
        await past(api, ids["project"], "production"),
    )
    ids["staging"] = await past(api, ids["project"], "staging")
    uploaded = (await developer.uploads.from_directory(tmp_path / "source")).id
    ids["waiting"] = (
        await owner.request("POST", "/deployments", json={"projectId": "shop", "uploadId": ids["upload"]})
    ).data["id"]
    ids["upload"] = uploaded
    for name in ("production", "pr-1"):
        await owner.request("PATCH", f"/projects/shop/environments/{name}", json={"protected": True})
    return Shop(api=api, owner=owner, developer=developer, developer_id=developer_id, ids=ids)


async def member(api: Api, role: str, *more: str) -> tuple[AsyncCygniClient, str]:
    """With a built-in role, and more scopes in a role of the team's own."""
    client = await api.member(role)
    user_id = (await client.request("GET", "/me")).data["user"]["id"]
    role_id = new_id("role")
    async with db.begin(api.pool) as tx:
        await tx.execute(
            """INSERT INTO roles (id, team_id, name, scopes) SELECT $1, $2, 'extra', scopes || $3::text[] FROM roles
               WHERE team_id IS NULL AND name = $4""",
            role_id,
            api.team_id,
            list(more),
            role,
        )
        await tx.execute("UPDATE members SET role_id = $2 WHERE user_id = $1", user_id, role_id)
    return client, user_id


async def past(api: Api, project_id: str, environment: str) -> str:
    """A deployment that was live, whose artifact is kept."""
    deployment_id, digest = new_id("dep"), new_id("dep")
    async with db.begin(api.pool) as tx:
        await tx.execute(
            """INSERT INTO artifacts (project_id, digest, kind, path, size_bytes, plan, mounts, env, created_at)
               VALUES ($1, $2, 'static', '/x', 1, '{}', '[]', '{}', now())""",
            project_id,
            digest,
        )
        await tx.execute(
            """INSERT INTO deployments (id, project_id, environment_id, environment, type, trigger, status, strategy,
                   labels, source, digest, nonce, steps, was_live, finished_at, created_at, updated_at, created_by)
               SELECT $1, $2, id, name, 'deploy', 'api', 'success', 'rolling', '{}',
                   '{"type": "push", "branch": "main", "tag": null}', $4, '',
                   (SELECT coalesce(jsonb_agg(jsonb_build_object('name', step, 'status', 'success', 'startedAt', null,
                       'finishedAt', null, 'durationMs', null, 'message', null)), '[]')
                    FROM unnest(ARRAY['source', 'build', 'release', 'start', 'health', 'switch']) step),
                   true, now(), now(), now(), 'system' FROM environments WHERE project_id = $2 AND name = $3""",
            deployment_id,
            project_id,
            environment,
            digest,
        )
        await tx.execute(
            "UPDATE environments SET current_deployment_id = $3 WHERE project_id = $1 AND name = $2",
            project_id,
            environment,
            deployment_id,
        )
    return deployment_id


async def grant(shop: Shop, environment: str | None, role: str = "developer", **columns: Any) -> None:
    """To the developer, or in `columns` to another."""
    given = {"user_id": shop.developer_id, "token_id": None, "expires_at": None} | columns
    async with db.begin(shop.api.pool) as tx:
        await tx.execute(
            """INSERT INTO grants (id, team_id, user_id, token_id, role_id, project_id, environment, expires_at,
                   created_at, created_by)
               SELECT $1, $2, $3, $4, id, $5, $6, $7, $8, 'system' FROM roles WHERE team_id IS NULL AND name = $9""",
            new_id("gra"),
            shop.api.team_id,
            given["user_id"],
            given["token_id"],
            shop.ids["project"],
            environment,
            given["expires_at"],
            clock.now(),
            role,
        )


async def knock(shop: Shop, door: Door, client: AsyncCygniClient) -> str:
    """The code of the error; `open` when there is none."""
    path = door.path.format(**shop.ids)
    json = door.json
    if isinstance(json, dict):
        json = {k: v.format(**shop.ids) if isinstance(v, str) else v for k, v in json.items()}  # type: ignore[reportUnknownVariableType]
    try:
        await client.request(door.method, path, json=json, query=door.query)
    except APIStatusError as error:
        return error.code or ""
    return "open"


@pytest.mark.parametrize("door", DOORS)
async def test_it_is_closed_to_who_has_no_grant_there(shop: Shop, door: str) -> None:
    assert await knock(shop, DOORS[door], shop.developer) == "environment_protected"


async def test_a_grant_there_opens_and_nothing_else_does(shop: Shop) -> None:
    restart, deploy = DOORS["restart"], DOORS["deploy"]
    await grant(shop, None)
    await grant(shop, "staging")
    await grant(shop, "production", expires_at=clock.now())
    await grant(shop, "production", role="viewer")
    assert await knock(shop, restart, shop.developer) == "environment_protected"
    assert await knock(shop, restart, shop.owner) == "environment_protected"
    await grant(shop, "production")
    assert await knock(shop, deploy, shop.developer) == "open"
    assert await knock(shop, DOORS["a variable of several"], shop.developer) == "open"
    # the grant's role gives no more there than it does elsewhere
    assert await knock(shop, DOORS["reveal"], shop.developer) == "environment_protected"
    assert await knock(shop, DOORS["a variable of previews"], shop.developer) == "environment_protected"


async def test_a_token_needs_a_grant_of_its_own(shop: Shop) -> None:
    for project_id in (None, shop.ids["project"]):
        secret = await shop.api.token(project_id=project_id)
        client = shop.api.client(secret)
        assert await knock(shop, DOORS["restart"], client) == "environment_protected"
        token_id = (await client.request("GET", "/tokens/current")).data["id"]
        await grant(shop, "production", user_id=None, token_id=token_id)
        assert await knock(shop, DOORS["restart"], client) == "open"
    narrow = shop.api.client(await shop.api.token(shop.developer_id, ("projects:read", "deployments:write")))
    await grant(shop, "production")
    assert await knock(shop, DOORS["deploy"], shop.developer) == "open"
    assert await knock(shop, DOORS["scale"], narrow) == "insufficient_scope"


async def test_what_it_leaves_open(shop: Shop) -> None:
    for door in (
        Door(method="GET", path="/projects/shop/environments/production"),
        Door(method="GET", path="/deployments/{live}"),
        Door(method="GET", path="/env", query={"projectId": "shop", "environment": "production"}),
        Door(method="PATCH", path="/projects/shop", json={"labels": {"a": "b"}}),
        Door(method="POST", path="/env", json=variable(environments=["staging"])),
        Door(method="POST", path="/projects/shop/restart", json={"environment": "staging"}),
        Door(method="POST", path="/env/{free}/reveal", json={"reason": "a test"}),
    ):
        assert await knock(shop, door, shop.developer) == "open"
    # who may end the protection may stop everything
    assert await knock(shop, DOORS["pause"], shop.owner) == "open"


async def test_copies_have_no_secrets_of_it(shop: Shop) -> None:
    body = {"name": "copy", "cloneFrom": "production"}
    made = await shop.developer.request("POST", "/projects/shop/environments", json=body)
    assert {warning["path"] for warning in made.meta["warnings"]} == {"env.SECRET", "env.SHARED"}
    body = {"name": "another", "cloneFrom": "staging"}
    made = await shop.developer.request("POST", "/projects/shop/environments", json=body)
    assert "warnings" not in made.meta


async def test_ending_it_needs_projects_admin(shop: Shop) -> None:
    await grant(shop, "production")
    path = "/projects/shop/environments/production"
    for body in ({"protected": False}, {"requiredApprovals": 0}, {"branch": "main"}):
        error = await refused(shop.developer.request("PATCH", path, json=body))
        assert (error.status, error.details["requiredScopes"]) == (403, ["projects:admin"])
    answer = await shop.owner.request("PATCH", path, json={"protected": False, "requiredApprovals": 2})
    assert (answer.data["protected"], answer.data["requiredApprovals"]) == (False, 2)
    assert await knock(shop, DOORS["restart"], shop.owner) == "open"
    assert (await refused(shop.owner.request("PATCH", path, json={"requiredApprovals": 11}))).status == 400


async def test_the_error_says_what_would_help(shop: Shop) -> None:
    error = await refused(shop.developer.request("POST", "/projects/shop/restart", json={}))
    assert error.status == 403
    assert "deployments:write" in error.message
    assert "/v1/grants" in (error.hint or "")
