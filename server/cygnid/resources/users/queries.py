"""The table `users`."""

from datetime import datetime
from typing import Any

import msgspec

from cygnid.core.db import Read
from cygnid.core.schemas import alike
from cygnid.resources.users.schemas import User

_COLUMNS = """id, name, email, email_verified, two_factor_enabled, is_instance_admin, preferences, version, created_at,
    updated_at"""


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    email: str | None
    email_verified: bool
    two_factor_enabled: bool
    is_instance_admin: bool
    preferences: dict[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime


async def user(read: Read, user_id: str) -> UserRow | None:
    return await read.one(UserRow, f"SELECT {_COLUMNS} FROM users WHERE id = $1", user_id)  # noqa: S608  constant


async def user_for_change(read: Read, user_id: str) -> UserRow | None:
    """Locked until the transaction ends."""
    return await read.one(
        UserRow,
        f"SELECT {_COLUMNS} FROM users WHERE id = $1 FOR UPDATE",  # noqa: S608  constant
        user_id,
    )


async def user_of_email(read: Read, email: str) -> UserRow | None:
    """`email` in the form of `users.schemas.Email`."""
    return await read.one(UserRow, f"SELECT {_COLUMNS} FROM users WHERE email = $1", email)  # noqa: S608  constant


async def team_ids(read: Read, user_id: str) -> list[str]:
    """The living teams that the user is a member of."""
    return await read.value(
        """SELECT coalesce(array_agg(teams.id ORDER BY teams.id), '{}') FROM members
           JOIN teams ON teams.id = members.team_id AND teams.deleted_at IS NULL WHERE members.user_id = $1""",
        user_id,
    )


async def first_instance_admin(read: Read) -> UserRow | None:
    """Who has administered this installation longest."""
    return await read.one(
        UserRow,
        f"SELECT {_COLUMNS} FROM users WHERE is_instance_admin ORDER BY created_at, id LIMIT 1",  # noqa: S608  constant
    )


def shown(row: UserRow) -> User:
    """The user on the wire."""
    return User(**alike(row, User))
