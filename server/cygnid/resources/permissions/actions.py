"""What can happen to members."""

from cygnid.core import changes, clock
from cygnid.core.actors import Actor
from cygnid.core.db import Tx
from cygnid.core.ids import new_id
from cygnid.resources.permissions.schemas import BUILT_IN_ROLES, AlreadyMember, MemberEvent


async def add_owner(tx: Tx, actor: Actor, *, team_id: str, user_id: str) -> str:
    """The membership of a new team's first owner; its id. For whoever creates the team, in the same transaction:
    no permission is asked, since nobody could have one yet. Raises AlreadyMember."""
    member_id = new_id("mem")
    async with tx.unique(members_team_id_user_id_key=AlreadyMember()):
        await tx.execute(
            "INSERT INTO members (id, team_id, user_id, role_id, created_at) VALUES ($1, $2, $3, $4, $5)",
            member_id,
            team_id,
            user_id,
            BUILT_IN_ROLES["owner"],
            clock.now(),
        )
    name = await tx.value("SELECT name FROM users WHERE id = $1", user_id)
    await changes.record(
        tx,
        actor,
        MemberEvent.JOINED,
        changes.Subject(type="member", id=member_id, name=name, team_id=team_id),
        after={"userId": user_id, "role": "owner"},
    )
    return member_id
