"""The tables `passwords` and, of `tokens`, the sessions."""

from cygnid.core import clock
from cygnid.core.db import Read
from cygnid.core.schemas import Page
from cygnid.resources.auth.schemas import SessionsQuery
from cygnid.resources.tokens import queries as tokens
from cygnid.resources.tokens.queries import Visible
from cygnid.resources.tokens.schemas import Token, TokensQuery


async def password(read: Read, user_id: str) -> str | None:
    """Its hash; None: the user has none."""
    return await read.value("SELECT hash FROM passwords WHERE user_id = $1", user_id)


async def password_to_hold(read: Read, user_id: str) -> str | None:
    """The same, and it stays so until the transaction ends."""
    return await read.value("SELECT hash FROM passwords WHERE user_id = $1 FOR UPDATE", user_id)


async def somebody_can_sign_in(read: Read) -> bool:
    return await read.value("SELECT EXISTS (SELECT FROM passwords UNION ALL SELECT FROM identities)")


async def sessions(read: Read, user_id: str, query: SessionsQuery) -> Page[Token]:
    """Those of the user that are active, newest first."""
    narrowed = TokensQuery(
        **{name: getattr(query, name) for name in query.__struct_fields__}, kind=["session"], status=["active"]
    )
    return await tokens.visible_tokens(read, _of(user_id), narrowed, clock.now())


async def session(read: Read, user_id: str, session_id: str) -> Token | None:
    """The user's session, ended ones too."""
    row = await tokens.visible_token(read, _of(user_id), session_id)
    return None if row is None or row.kind != "session" else tokens.shown(row, clock.now())


def _of(user_id: str) -> Visible:
    return Visible(team_ids=[], managed_team_ids=[], user_id=user_id)


async def open_sessions(read: Read, user_id: str, but: str | None) -> list[str]:
    """Ids of the user's active sessions, except one."""
    return await read.value(
        """SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM tokens
           WHERE user_id = $1 AND kind = 'session' AND revoked_at IS NULL AND expires_at > $2
               AND id IS DISTINCT FROM $3""",
        user_id,
        clock.now(),
        but,
    )
