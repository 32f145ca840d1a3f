"""What can happen to whoever signs in: they register, sign in and out, and end sessions.

These actions ask for no permission: signing in is what gives one.
"""

import msgspec

from cygnid.core import changes, clock
from cygnid.core.access import Permission
from cygnid.core.actors import Actor, anonymous
from cygnid.core.db import Tx
from cygnid.core.errors import InvalidState, NotFound
from cygnid.resources.auth import one_time, queries
from cygnid.resources.auth.schemas import SESSION_LASTS, RegistrationClosed
from cygnid.resources.permissions import invitations
from cygnid.resources.permissions.schemas import InvitationGone
from cygnid.resources.tokens import actions as tokens
from cygnid.resources.tokens.queries import TokenRow, token_for_change
from cygnid.resources.users import actions as users
from cygnid.resources.users.queries import UserRow, user_for_change
from cygnid.resources.users.schemas import EmailTaken, UserEvent
from cygnid.settings import Settings

_LONGEST_NAME = 100


async def complete(
    tx: Tx, code: str, *, email: str, name: str, password_hash: str, ip: str | None, request_id: str
) -> UserRow:
    """The user that the setup code was made for gets a name, an address and a password. Raises RegistrationClosed
    for a code that is not good, EmailTaken."""
    given = await one_time.take(tx, "setup", one_time.typed(code))
    if given is None:
        raise RegistrationClosed(
            "This setup code is unknown, used or too old.", hint="`cygnid setup-code` makes another."
        )
    was = await user_for_change(tx, given.user_id)
    assert was is not None
    async with tx.unique(users_email_key=EmailTaken()):
        await tx.execute(
            "UPDATE users SET name = $2, email = $3, updated_at = $4, version = version + 1 WHERE id = $1",
            was.id,
            name,
            email,
            clock.now(),
        )
    await set_password(tx, was.id, password_hash)
    user = await again(tx, was.id)
    await users.record(
        tx,
        acting(user, ip=ip),
        UserEvent.UPDATED,
        user,
        before={"name": was.name, "email": was.email},
        after={"name": name, "email": email},
        data={"completed": True},
        request_id=request_id,
    )
    return user


async def join(
    tx: Tx,
    settings: Settings,
    token: str,
    *,
    email: str,
    name: str,
    password_hash: str,
    ip: str | None,
    request_id: str,
) -> UserRow:
    """A new user, who is a member of the team that invited this address. Raises RegistrationClosed for an invitation
    that is not good, Forbidden for one of another address, EmailTaken."""
    try:
        await invitations.good(tx, token)
    except InvitationGone as gone:
        raise RegistrationClosed("This invitation is unknown, used or too old.") from gone
    user = await users.create_user(tx, anonymous(ip), name=name, email=email)
    await set_password(tx, user.id, password_hash)
    if settings.smtp_url:
        # the invitation came by mail to this address, so it is theirs
        await tx.execute("UPDATE users SET email_verified = true WHERE id = $1", user.id)
    await invitations.accept(tx, acting(user, ip=ip), user, token, request_id=request_id)
    return await again(tx, user.id)


async def set_password(tx: Tx, user_id: str, password_hash: str) -> None:
    await tx.execute(
        """INSERT INTO passwords (user_id, hash, changed_at) VALUES ($1, $2, $3)
           ON CONFLICT (user_id) DO UPDATE SET hash = $2, changed_at = $3""",
        user_id,
        password_hash,
        clock.now(),
    )


async def give_setup_code(tx: Tx, user_id: str) -> str:
    """A code with which this user, whom `cygnid up` made, completes themselves; earlier ones end. Raises
    InvalidState when that is done."""
    if await queries.password(tx, user_id) is not None:
        raise InvalidState(
            "The owner of this installation has a password: there is nothing to set up.",
            hint="`cygnid token` lets whoever owns the data folder in.",
        )
    secret = one_time.code(5)
    await one_time.give(tx, "setup", secret, user_id=user_id)
    return secret


async def sign_in(
    tx: Tx, user: UserRow, *, client: str, ip: str | None, request_id: str, how: str, factor: str | None = None
) -> tuple[TokenRow, str]:
    """A session of twelve hours, and its secret. `how`: password, device, or the provider who vouched for them;
    `factor`: the second one that was used."""
    scopes = ("*", Permission.INSTANCE_ADMIN.value) if user.is_instance_admin else ("*",)
    new = tokens.NewToken(kind="session", name=_name(client), scopes=scopes, expires_at=clock.now() + SESSION_LASTS)
    row, secret = await tokens.store(tx, new, user_id=user.id, created_by=user.id)
    await users.record(
        tx,
        acting(user, ip=ip, session_id=row.id),
        UserEvent.SIGNED_IN,
        user,
        data={"sessionId": row.id, "method": how, "secondFactor": factor},
        request_id=request_id,
    )
    return row, secret


async def note_failure(tx: Tx, user: UserRow | None, *, ip: str | None, request_id: str, how: str = "password") -> None:
    """Somebody did not get in. What was typed as an address is not kept when it is nobody's: it may be a password."""
    actor, data = anonymous(ip), {"method": how}
    if user is not None:
        await users.record(tx, actor, UserEvent.SIGN_IN_FAILED, user, data=data, result="failed", request_id=request_id)
        return
    nobody = changes.Subject(type="user", id=None, name=None, team_id=None)
    await changes.record(tx, actor, UserEvent.SIGN_IN_FAILED, nobody, data=data, result="failed", request_id=request_id)


async def sign_out(tx: Tx, actor: Actor, *, request_id: str) -> None:
    """End the session that is used."""
    assert actor.token_id is not None
    assert actor.user_id is not None
    await end(tx, [actor.token_id])
    user = await again(tx, actor.user_id)
    await users.record(tx, actor, UserEvent.SIGNED_OUT, user, data={"sessionId": actor.token_id}, request_id=request_id)


async def end_session(tx: Tx, actor: Actor, session_id: str, *, request_id: str) -> None:
    """One of the caller's own. Again is the same. Raises NotFound."""
    row = await token_for_change(tx, session_id)
    if row is None or row.kind != "session" or row.user_id != actor.user_id:
        raise NotFound
    if row.revoked_at is None:
        await _end_and_record(tx, actor, [row.id], request_id)


async def end_sessions(tx: Tx, actor: Actor, *, request_id: str) -> None:
    """All of the caller's own but the one that is used."""
    await _end_and_record(tx, actor, await queries.open_sessions(tx, actor.user_id or "", actor.token_id), request_id)


def acting(user: UserRow, *, ip: str | None, session_id: str | None = None) -> Actor:
    """The user, who has just shown that it is them."""
    return Actor(type="user", id=user.id, name=user.name, user_id=user.id, token_id=session_id, kind="session", ip=ip)


async def _end_and_record(tx: Tx, actor: Actor, session_ids: list[str], request_id: str) -> None:
    await end(tx, session_ids)
    user = await again(tx, actor.user_id or "")
    for session_id in session_ids:
        data = {"sessionId": session_id}
        await users.record(tx, actor, UserEvent.SESSION_REVOKED, user, data=data, request_id=request_id)


async def end(tx: Tx, session_ids: list[str]) -> None:
    """End these sessions, unrecorded."""
    await tx.execute(
        "UPDATE tokens SET revoked_at = $2, updated_at = $2, version = version + 1 WHERE id = ANY($1)",
        session_ids,
        clock.now(),
    )


async def again(tx: Tx, user_id: str) -> UserRow:
    """The user, locked until the transaction ends; for whom is known to be there."""
    user = await user_for_change(tx, user_id)
    assert user is not None
    return user


def _name(client: str) -> str:
    """What the client calls itself in X-Cygni-Client, for the list of sessions."""
    try:
        said = msgspec.json.decode(client or "{}", type=_Client).name
    except msgspec.DecodeError:
        said = ""
    return said[:_LONGEST_NAME] if said.isprintable() and said.strip() else "sign-in"


class _Client(msgspec.Struct):
    name: str = ""
