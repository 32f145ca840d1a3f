"""The table `users`."""

from datetime import datetime
from typing import Any

import msgspec

from cygnid.core.db import Read

_COLUMNS = "id, name, email, email_verified, is_instance_admin, preferences, version, created_at, updated_at"


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    email: str | None
    email_verified: bool
    is_instance_admin: bool
    preferences: dict[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime


async def user(read: Read, user_id: str) -> UserRow | None:
    return await read.one(UserRow, f"SELECT {_COLUMNS} FROM users WHERE id = $1", user_id)  # noqa: S608  constant


async def first_instance_admin(read: Read) -> UserRow | None:
    """Who has administered this installation longest."""
    return await read.one(
        UserRow,
        f"SELECT {_COLUMNS} FROM users WHERE is_instance_admin ORDER BY created_at, id LIMIT 1",  # noqa: S608  constant
    )
