"""Who may make, end, renew and see which token: nobody gives what they lack, and teams are apart."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from cygnid.core import clock, db
from cygnid.core.actors import SYSTEM, Actor
from cygnid.core.errors import Forbidden, InsufficientScope, InvalidState, NotFound, ValidationError
from cygnid.resources.tokens.actions import NewToken, authenticate, create_token, issue, revoke_token, rotate_token
from cygnid.resources.tokens.queries import Visible, shown, shown_with_secret, visible_tokens
from cygnid.resources.tokens.schemas import TokensQuery
from tests.make.people import acting, make_team, make_user, pool_of


@dataclass
class World:
    tx: db.Tx
    red: str
    blue: str
    owner: Actor
    developer: Actor
    stranger: Actor
    """Owns the other team."""


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with pool_of(database_url) as pool, db.begin(pool) as tx:
        red, blue = await make_team(tx, "red"), await make_team(tx, "blue")
        yield World(
            tx, red, blue,
            owner=acting(await make_user(tx, "owner", **{red: "owner"})),
            developer=acting(await make_user(tx, "developer", **{red: "developer"})),
            stranger=acting(await make_user(tx, "stranger", **{blue: "owner"})),
        )  # fmt: skip


def personal(*scopes: str) -> NewToken:
    return NewToken(kind="personal", name="mine", scopes=scopes)


def of_team(team: str, *scopes: str) -> NewToken:
    return NewToken(kind="team", name="bot", scopes=scopes, team_id=team)


async def test_a_team_token_needs_the_role_and_its_own_team(world: World) -> None:
    row, _ = await create_token(world.tx, world.owner, of_team(world.red, "*"))
    assert (row.team_id, row.user_id, row.created_by) == (world.red, None, world.owner.id)
    with pytest.raises(InsufficientScope):
        await create_token(world.tx, world.developer, of_team(world.red, "projects:read"))
    with pytest.raises(NotFound):
        await create_token(world.tx, world.stranger, of_team(world.red, "projects:read"))


async def test_nobody_gives_what_they_lack(world: World) -> None:
    narrow = acting(str(world.owner.user_id), ["tokens:write", "env:read"])
    for new in (of_team(world.red, "env:read", "env:reveal"), personal("env:*")):
        with pytest.raises(InsufficientScope) as lacking:
            await create_token(world.tx, narrow, new)
        assert "env:reveal" in lacking.value.details["requiredScopes"]
        assert "env:read" not in lacking.value.details["requiredScopes"]
    with pytest.raises(InsufficientScope) as role:
        await create_token(world.tx, world.developer, personal("deployments:write", "billing:write"))
    assert role.value.details["requiredScopes"] == ["billing:write"]
    await create_token(world.tx, world.developer, personal("deployments:write"))


async def test_instance_admin_is_given_only_by_who_has_it_and_only_to_a_user(world: World) -> None:
    with pytest.raises(InsufficientScope):
        await create_token(world.tx, world.owner, personal("instance:admin"))
    admin = acting(await make_user(world.tx, "root", admin=True), ["*", "instance:admin"], admin=True)
    await create_token(world.tx, admin, personal("instance:admin"))
    with pytest.raises(ValidationError):
        await create_token(world.tx, world.owner, of_team(world.red, "instance:admin"))


@pytest.mark.parametrize(("fields", "field"), [
    ({"kind": "personal", "scopes": ["projects:fly"]}, "scopes"),
    ({"kind": "personal", "scopes": ["instance:*"]}, "scopes"),
    ({"kind": "deploy", "scopes": [], "team_id": "team_x"}, "projectId"),
    ({"kind": "team", "scopes": [], "team_id": "team_x", "project_id": "proj_x"}, "projectId"),
    ({"kind": "team", "scopes": []}, "teamId"),
    ({"kind": "personal", "scopes": [], "team_id": "team_x"}, "teamId"),
    ({"kind": "personal", "scopes": [], "environment": "production"}, "environment"),
    ({"kind": "personal", "scopes": [], "allowed_ips": ["10.0.0.0/8", "10.0.0.1/8"]}, "allowedIps[1]"),
    ({"kind": "personal", "scopes": [], "expires_at": clock.now()}, "expiresAt"),
])  # fmt: skip
async def test_what_makes_no_sense_is_named(world: World, fields: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        await create_token(world.tx, world.owner, NewToken(name="x", **fields))  # type: ignore[arg-type]
    assert wrong.value.details["field"] == field


async def test_a_deploy_token_reaches_no_further_than_its_project(world: World) -> None:
    def deploy(project: str, environment: str | None = None) -> NewToken:
        return NewToken(
            kind="deploy", name="ci", scopes=["tokens:write"], team_id=world.red, project_id=project,
            environment=environment,
        )  # fmt: skip

    _, secret = await create_token(world.tx, world.owner, deploy("proj_a", "staging"))
    other, _ = await create_token(world.tx, world.owner, deploy("proj_b"))
    bot = await authenticate(world.tx, secret, None)
    await create_token(world.tx, bot, deploy("proj_a", "staging"))
    for new in (deploy("proj_a"), deploy("proj_a", "production"), deploy("proj_b"), of_team(world.red, "tokens:write")):
        with pytest.raises(Forbidden):
            await create_token(world.tx, bot, new)
    with pytest.raises(NotFound):
        await revoke_token(world.tx, bot, other.id)
    with pytest.raises(Forbidden):
        await create_token(world.tx, bot, personal("tokens:write"))
    theirs, _ = await issue(world.tx, SYSTEM, personal("projects:read"), user_id=world.developer.user_id)
    with pytest.raises(NotFound):
        await revoke_token(world.tx, bot, theirs.id)


async def test_revoking_is_kept_recorded_once_and_the_same_again(world: World) -> None:
    row, _ = await create_token(world.tx, world.owner, of_team(world.red, "projects:read"))
    with pytest.raises(NotFound):
        await revoke_token(world.tx, world.stranger, row.id)
    first = await revoke_token(world.tx, world.owner, row.id)
    assert first.status(clock.now()) == "revoked"
    assert await revoke_token(world.tx, world.owner, row.id) == first
    assert await world.tx.value("SELECT count(*) FROM changes WHERE type = 'token.revoked'") == 1
    with pytest.raises(InvalidState):
        await rotate_token(world.tx, world.owner, row.id, overlap_seconds=0)
    with pytest.raises(NotFound):
        await revoke_token(world.tx, world.owner, "tok_unknown")


async def test_nobody_ends_a_token_that_has_more_than_they_have(world: World) -> None:
    row, _ = await create_token(world.tx, world.owner, of_team(world.red, "env:reveal"))
    narrow = acting(str(world.owner.user_id), ["tokens:write"])
    for change in (revoke_token(world.tx, narrow, row.id), rotate_token(world.tx, narrow, row.id, overlap_seconds=0)):
        with pytest.raises(InsufficientScope):
            await change


async def test_a_personal_token_is_revoked_by_its_teams_managers_and_rotated_by_its_user_alone(world: World) -> None:
    row, _ = await create_token(world.tx, world.developer, personal("deployments:write"))
    with pytest.raises(InsufficientScope):
        await rotate_token(world.tx, acting(str(world.developer.user_id), ["env:read"]), row.id, overlap_seconds=0)
    with pytest.raises(NotFound):
        await revoke_token(world.tx, world.stranger, row.id)
    with pytest.raises(Forbidden):
        await rotate_token(world.tx, world.owner, row.id, overlap_seconds=0)
    owners, _ = await create_token(world.tx, world.owner, personal("*"))
    with pytest.raises(InsufficientScope):
        await revoke_token(world.tx, world.developer, owners.id)
    admin = acting(await make_user(world.tx, "admin", **{world.red: "admin"}))
    with pytest.raises(InsufficientScope):
        await revoke_token(world.tx, admin, owners.id)
    assert (await revoke_token(world.tx, admin, row.id)).revoked_at is not None


@pytest.mark.parametrize("seconds", [-1, 86_401])
async def test_the_overlap_has_limits(world: World, seconds: int) -> None:
    row, _ = await create_token(world.tx, world.owner, personal("*"))
    with pytest.raises(ValidationError):
        await rotate_token(world.tx, world.owner, row.id, overlap_seconds=seconds)
    await rotate_token(world.tx, world.owner, row.id, overlap_seconds=86_400)


async def test_a_list_keeps_teams_apart_and_filters(world: World) -> None:
    bot, _ = await create_token(world.tx, world.owner, of_team(world.red, "projects:read"))
    own, _ = await create_token(world.tx, world.owner, personal("*"))
    colleague, _ = await create_token(world.tx, world.developer, personal("projects:read"))
    foreign, _ = await create_token(world.tx, world.stranger, of_team(world.blue, "projects:read"))
    foreign_own, _ = await create_token(world.tx, world.stranger, personal("projects:read"))

    async def seen(actor: Actor, reads: list[str], manages: list[str], **filters: Any) -> set[str]:
        visible = Visible(team_ids=reads, managed_team_ids=manages, user_id=actor.user_id)
        page = await visible_tokens(world.tx, visible, TokensQuery(**filters), clock.now())
        return {token.id for token in page.items}

    red = [world.red]
    assert await seen(world.owner, red, red) == {bot.id, own.id, colleague.id}
    assert await seen(world.owner, red, []) == {bot.id, own.id}
    assert await seen(world.developer, [], []) == {colleague.id}
    assert await seen(world.stranger, [world.blue], [world.blue]) == {foreign.id, foreign_own.id}
    assert await seen(world.owner, red, red, kind=["team"]) == {bot.id}
    assert await seen(world.owner, red, red, user_id=[str(world.developer.user_id)]) == {colleague.id}
    assert await seen(world.owner, red, red, project_id="proj_x") == set()
    await revoke_token(world.tx, world.owner, bot.id)
    assert await seen(world.owner, red, red, status=["revoked"]) == {bot.id}
    assert await seen(world.owner, red, red, status=["active"]) == {own.id, colleague.id}


async def test_a_shown_token_has_its_secret_only_when_it_is_new(world: World) -> None:
    row, secret = await create_token(world.tx, world.owner, personal("*"))
    assert shown_with_secret(row, secret, clock.now()).secret == secret
    token = shown(row, clock.now())
    assert not hasattr(token, "secret")
    assert (token.id, token.status, token.scopes) == (row.id, "active", ["*"])
