"""Users, teams and callers for tests: everything through the actions, so that it is as in an installation."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from cygnid.core import clock, db
from cygnid.core.actors import SYSTEM, Actor
from cygnid.core.ids import new_id
from cygnid.resources.auth import passwords
from cygnid.resources.auth.actions import set_password
from cygnid.resources.permissions.schemas import BUILT_IN_ROLES
from cygnid.resources.teams.actions import create_team
from cygnid.resources.users.actions import create_user


@asynccontextmanager
async def pool_of(url: str, *, size: int = 4) -> AsyncIterator[db.Pool]:
    pool = await db.connect(url, size=size)
    try:
        yield pool
    finally:
        await pool.close()


async def make_team(tx: db.Tx, slug: str, plan: str = "pro") -> str:
    return (await create_team(tx, SYSTEM, name=slug.title(), slug=slug, plan=plan)).id  # type: ignore[arg-type]


async def make_user(tx: db.Tx, name: str, *, admin: bool = False, **roles: str) -> str:
    """`roles`: team id → role name."""
    user = await create_user(tx, SYSTEM, name=name, email=f"{name}@example.test", is_instance_admin=admin)
    for team_id, role in roles.items():
        await tx.execute(
            "INSERT INTO members (id, team_id, user_id, role_id, created_at) VALUES ($1, $2, $3, $4, $5)",
            new_id("mem"),
            team_id,
            user.id,
            BUILT_IN_ROLES[role],
            clock.now(),
        )
    return user.id


PASSWORD = "three unlikely words"
_hashes: list[str] = []


async def give_password(tx: db.Tx, user_id: str) -> None:
    """PASSWORD; hashed once in a test run, since that takes a while."""
    if not _hashes:
        _hashes.append(await passwords.hashed(PASSWORD))
    await set_password(tx, user_id, _hashes[0])


def acting(user_id: str, scopes: Sequence[str] = ("*",), *, admin: bool = False) -> Actor:
    """A user by a token of these scopes."""
    return Actor(
        type="user", id=user_id, name="tester", user_id=user_id, kind="personal", scopes=frozenset(scopes),
        token_id=new_id("tok"), is_instance_admin=admin,
    )  # fmt: skip
