"""A secret becomes an actor, or a plain refusal."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cygnid.core import clock, db, token_format
from cygnid.core.access import permissions_by_team
from cygnid.core.actors import SYSTEM
from cygnid.core.errors import Forbidden, TokenExpired, TokenRevoked, Unauthorized
from cygnid.resources.tokens.actions import NewToken, authenticate, issue, revoke_token, rotate_token
from cygnid.resources.tokens.last_uses import LastUses, Use, touch
from cygnid.resources.tokens.queries import token
from tests.make.people import acting, make_team, make_user, pool_of

START = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def tx(database_url: str) -> AsyncIterator[db.Tx]:
    async with pool_of(database_url) as pool, db.begin(pool) as tx:
        yield tx


@pytest.fixture
def moment() -> Iterator[list[datetime]]:
    """The clock: its one element is now."""
    now = [START]
    clock.set_clock(lambda: now[0])
    yield now
    clock.set_clock(None)


def personal(*scopes: str, **fields: object) -> NewToken:
    return NewToken(kind="personal", name="mine", scopes=scopes or ("*",), **fields)  # type: ignore[arg-type]


async def test_a_users_token_acts_as_the_user_with_their_best_plan(tx: db.Tx) -> None:
    red, blue = await make_team(tx, "red", "free"), await make_team(tx, "blue", "enterprise")
    await make_team(tx, "other", "enterprise")
    user = await make_user(tx, "ada", **{red: "owner", blue: "viewer"})
    row, secret = await issue(tx, SYSTEM, personal("teams:*"), user_id=user)
    actor = await authenticate(tx, secret, "192.0.2.1")
    assert (actor.type, actor.id, actor.token_id, actor.plan, actor.ip) == (
        "user", user, row.id, "enterprise", "192.0.2.1",
    )  # fmt: skip
    assert {team: sorted(found) for team, found in (await permissions_by_team(tx, actor)).items()} == {
        red: ["teams:delete", "teams:read", "teams:write"],
        blue: ["teams:read"],
    }


@pytest.mark.parametrize(("admin", "scopes", "result"), [
    (True, ("*", "instance:admin"), True),
    (True, ("*",), False),
    (True, ("instance:*",), False),
    (False, ("*", "instance:admin"), False),
])  # fmt: skip
async def test_the_installation_needs_both_the_user_and_the_word(
    tx: db.Tx, admin: bool, scopes: tuple[str, ...], result: bool
) -> None:
    user = await make_user(tx, "ada", admin=admin)
    _, secret = await issue(tx, SYSTEM, personal(*scopes), user_id=user)
    assert (await authenticate(tx, secret, None)).is_instance_admin is result


async def test_a_teams_token_is_the_teams_and_ends_with_it(tx: db.Tx) -> None:
    red = await make_team(tx, "red", "free")
    new = NewToken(kind="deploy", name="ci", scopes=["deployments:write"], team_id=red, project_id="proj_x")
    row, secret = await issue(tx, SYSTEM, new, user_id=None)
    actor = await authenticate(tx, secret, None)
    assert (actor.type, actor.id, actor.team_id, actor.project_id, actor.plan, actor.kind) == (
        "token", row.id, red, "proj_x", "free", "deploy",
    )  # fmt: skip
    await tx.execute("UPDATE teams SET deleted_at = $1, purge_at = $1", clock.now())
    with pytest.raises(Unauthorized):
        await authenticate(tx, secret, None)


async def test_malformed_and_unknown_are_refused_alike_and_noise_costs_no_look_up(tx: db.Tx) -> None:
    class NoDatabase:
        async def one(self, *_: object) -> None:
            raise AssertionError("the database was asked")

    with pytest.raises(Unauthorized) as malformed:
        await authenticate(NoDatabase(), token_format.mint("personal")[:-1] + "-", None)  # type: ignore[arg-type]
    with pytest.raises(Unauthorized) as unknown:
        await authenticate(tx, token_format.mint("personal"), None)
    assert type(malformed.value) is type(unknown.value) is Unauthorized
    assert (malformed.value.message, malformed.value.headers) == (unknown.value.message, unknown.value.headers)


async def test_only_the_digest_is_stored(tx: db.Tx) -> None:
    user = await make_user(tx, "ada")
    row, secret = await issue(tx, SYSTEM, personal(), user_id=user)
    stored = await tx.value("SELECT tokens::text || (SELECT string_agg(changes::text, '') FROM changes) FROM tokens")
    assert row.id in stored
    assert secret not in stored
    assert secret[9:] not in stored
    assert (row.prefix, row.last4) == (secret[:9], secret[-4:])


async def test_an_expired_and_a_revoked_token_say_so(tx: db.Tx, moment: list[datetime]) -> None:
    user = await make_user(tx, "ada")
    _, brief = await issue(tx, SYSTEM, personal(expires_at=START + timedelta(hours=1)), user_id=user)
    row, revoked = await issue(tx, SYSTEM, personal(), user_id=user)
    await authenticate(tx, brief, None)
    moment[0] += timedelta(hours=1)
    with pytest.raises(TokenExpired):
        await authenticate(tx, brief, None)
    await authenticate(tx, revoked, None)
    await revoke_token(tx, acting(user), row.id)
    with pytest.raises(TokenRevoked):
        await authenticate(tx, revoked, None)


@pytest.mark.parametrize(("ip", "good"), [
    ("192.0.2.7", True), ("::ffff:192.0.2.7", True), ("2001:db8::1", True),
    ("198.51.100.1", False), ("2001:db9::1", False), (None, False),
])  # fmt: skip
async def test_a_token_is_good_from_its_addresses_only(tx: db.Tx, ip: str | None, good: bool) -> None:
    user = await make_user(tx, "ada")
    _, secret = await issue(tx, SYSTEM, personal(allowed_ips=["192.0.2.0/24", "2001:db8::1"]), user_id=user)
    if good:
        assert (await authenticate(tx, secret, ip)).user_id == user
    else:
        with pytest.raises(Forbidden):
            await authenticate(tx, secret, ip)


async def test_both_secrets_work_until_the_overlap_ends(tx: db.Tx, moment: list[datetime]) -> None:
    red = await make_team(tx, "red")
    user = await make_user(tx, "ada", **{red: "owner"})
    row, old = await issue(tx, SYSTEM, personal(), user_id=user)
    rotated, new = await rotate_token(tx, acting(user), row.id, overlap_seconds=60)
    assert rotated.id == row.id
    assert rotated.previous_secret_expires_at == START + timedelta(seconds=60)
    assert {(await authenticate(tx, secret, None)).token_id for secret in (old, new)} == {row.id}
    moment[0] += timedelta(seconds=60)
    with pytest.raises(Unauthorized):
        await authenticate(tx, old, None)
    assert (await authenticate(tx, new, None)).token_id == row.id
    _, newest = await rotate_token(tx, acting(user), row.id, overlap_seconds=0)
    with pytest.raises(Unauthorized):
        await authenticate(tx, new, None)
    await authenticate(tx, newest, None)


async def test_a_use_is_noted_at_most_once_a_minute(tx: db.Tx) -> None:
    user = await make_user(tx, "ada")
    one, _ = await issue(tx, SYSTEM, personal(), user_id=user)
    two, _ = await issue(tx, SYSTEM, personal(), user_id=user)
    second = timedelta(seconds=1)
    assert await touch(tx, []) == 0
    assert (
        await touch(tx, [Use(token_id=one.id, at=START + second, ip="b"), Use(token_id=one.id, at=START, ip="a")]) == 1
    )
    later = [Use(token_id=item.id, at=START + 60 * second, ip="c") for item in (one, two)]
    assert await touch(tx, later) == 1, "the first was noted 59 seconds ago"
    found = await token(tx, one.id)
    assert found is not None
    assert (found.last_used_at, found.last_used_ip) == (START + second, "b")
    assert await touch(tx, [Use(token_id=one.id, at=START + 61 * second, ip="d")]) == 1


async def test_uses_are_noted_at_the_door_and_written_together(database_url: str, moment: list[datetime]) -> None:
    uses = LastUses()
    async with pool_of(database_url) as pool:
        async with db.begin(pool) as tx:
            team = await make_team(tx, "red")
            new = NewToken(kind="team", name="t", scopes=["*"], team_id=team)
            row, secret = await issue(tx, SYSTEM, new, user_id=None)
        async with db.read(pool) as read:
            for ip in ("192.0.2.1", "192.0.2.2"):
                await uses.authenticate(read, secret, ip)
            with pytest.raises(Unauthorized):
                await uses.authenticate(read, token_format.mint("team"), "192.0.2.3")
            await uses.write(pool)
            written = await token(read, row.id)
            moment[0] += timedelta(hours=1)
            await uses.write(pool)
            again = await token(read, row.id)
    assert written is not None
    assert (written.last_used_ip, written.last_used_at, written.version) == ("192.0.2.2", START, 1)
    assert again == written
