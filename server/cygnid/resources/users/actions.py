"""What can happen to people."""

from collections.abc import Mapping
from typing import Any, Literal

from cygnid.core import changes, clock
from cygnid.core.actors import Actor
from cygnid.core.db import Tx
from cygnid.core.ids import new_id
from cygnid.resources.users import queries
from cygnid.resources.users.queries import UserRow
from cygnid.resources.users.schemas import EmailTaken, UserEvent


async def record(
    tx: Tx,
    actor: Actor,
    event: str,
    user: UserRow,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    result: Literal["success", "failed"] = "success",
    request_id: str | None = None,
) -> None:
    """What happened to the user, in the log of each of their teams; of the installation when they are in none."""
    for team_id in await queries.team_ids(tx, user.id) or [None]:
        await changes.record(
            tx,
            actor,
            event,
            changes.Subject(type="user", id=user.id, name=user.name, team_id=team_id),
            before=before,
            after=after,
            data=data,
            result=result,
            request_id=request_id,
        )


async def create_user(
    tx: Tx, actor: Actor, *, name: str, email: str | None, is_instance_admin: bool = False
) -> UserRow:
    """A user who cannot sign in yet: a password or an identity comes apart. Raises EmailTaken."""
    user_id, now = new_id("user"), clock.now()
    async with tx.unique(users_email_key=EmailTaken()):
        await tx.execute(
            """INSERT INTO users (id, name, email, is_instance_admin, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $5)""",
            user_id,
            name,
            email,
            is_instance_admin,
            now,
        )
    await changes.record(
        tx,
        actor,
        UserEvent.REGISTERED,
        changes.Subject(type="user", id=user_id, name=name, team_id=None),
        after={"name": name, "email": email, "isInstanceAdmin": is_instance_admin},
    )
    row = await queries.user(tx, user_id)
    assert row is not None
    return row
