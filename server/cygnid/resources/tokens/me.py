"""Who the caller is."""

from cygnid.core import clock
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.http import Answer
from cygnid.resources.permissions.queries import teams_of
from cygnid.resources.teams.queries import living
from cygnid.resources.teams.schemas import TeamRef
from cygnid.resources.tokens import queries
from cygnid.resources.tokens.schemas import Me
from cygnid.resources.users.queries import shown, user


async def me(read: Read, actor: Actor) -> Answer:
    """The user, the token, the teams; its version is the user's."""
    assert actor.token_id is not None
    token = await queries.token(read, actor.token_id)
    assert token is not None
    who = None if actor.user_id is None else await user(read, actor.user_id)
    data = Me(user=who and shown(who), token=queries.shown(token, clock.now()), teams=await _teams(read, actor))
    return Answer(data=data, version=who and who.version)


async def _teams(read: Read, actor: Actor) -> list[TeamRef]:
    if actor.user_id is not None:
        return await teams_of(read, actor.user_id)
    assert actor.team_id is not None
    rows = await living(read, [actor.team_id])
    return [TeamRef(id=row.id, name=row.name, slug=row.slug, role_id=None, role_name=None) for row in rows]
