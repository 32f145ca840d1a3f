"""What can happen to passwords and addresses. Whoever calls this has looked at the password, or at what was mailed."""

from datetime import timedelta
from typing import Any

from msgspec import UNSET

from cygnid.core import clock, etag, outbox
from cygnid.core.actors import SYSTEM, Actor
from cygnid.core.db import Tx
from cygnid.core.errors import NotFound, ValidationError
from cygnid.core.http import Services
from cygnid.core.outbox import Letter
from cygnid.resources.auth import letters, one_time, queries, second_factor
from cygnid.resources.auth.actions import acting, again, end, set_password
from cygnid.resources.auth.schemas import MePatch
from cygnid.resources.tokens.me import me
from cygnid.resources.users import actions as users
from cygnid.resources.users.queries import UserRow, user_of_email
from cygnid.resources.users.schemas import EmailTaken, UserEvent

_NOTICE_GOOD_FOR = timedelta(days=1)


async def change_password(
    tx: Tx, services: Services, actor: Actor, user: UserRow, password_hash: str, *, request_id: str
) -> None:
    """All sessions end but the one that is used, and so does a reset that was asked for; who it was is told by mail."""
    await set_password(tx, user.id, password_hash)
    await one_time.revoke(tx, "passwordReset", user.id)
    await end(tx, await queries.open_sessions(tx, user.id, actor.token_id))
    await users.record(tx, actor, UserEvent.PASSWORD_CHANGED, user, request_id=request_id)
    if user.email is not None:
        await mail(tx, services, letters.password_changed(services.settings, user.email), good_for=_NOTICE_GOOD_FOR)


async def ask_for_reset(tx: Tx, services: Services, email: str) -> None:
    """Mails a link, if it is somebody's address and mail is sent here."""
    user = await user_of_email(tx, email)
    if user is not None and services.settings.smtp_url:
        secret = one_time.link()
        await one_time.give(tx, "passwordReset", secret, user_id=user.id, email=email)
        letter = letters.reset(services.settings, email, secret)
        await mail(tx, services, letter, good_for=one_time.LASTS["passwordReset"])


async def give_reset(tx: Tx, email: str, *, keep_second_factor: bool = True) -> str:
    """The same for whoever runs the installation, to hand over. Raises NotFound."""
    user = await user_of_email(tx, email)
    if user is None:
        raise NotFound("Nobody here has this address.")
    secret = one_time.link()
    await one_time.give(tx, "passwordReset", secret, user_id=user.id)
    await users.record(tx, SYSTEM, UserEvent.UPDATED, user, data={"passwordReset": "given"})
    if user.two_factor_enabled and not keep_second_factor:
        await _set_two_factor(tx, SYSTEM, user, is_on=False)
    return secret


async def reset(
    tx: Tx, services: Services, secret: str, password_hash: str, *, ip: str | None, request_id: str
) -> None:
    """A new password for whom the link was sent to; all sessions end. Raises ValidationError."""
    given = await one_time.take(tx, "passwordReset", secret)
    if given is None:
        raise bad("resetToken")
    user = await again(tx, given.user_id)
    if given.email is not None and given.email == user.email and not user.email_verified:
        await tx.execute("UPDATE users SET email_verified = true WHERE id = $1", user.id)
    await change_password(tx, services, acting(user, ip=ip), user, password_hash, request_id=request_id)


async def ask_to_confirm(tx: Tx, services: Services, user: UserRow, email: str) -> None:
    """Mail a link to an address that the user says is theirs."""
    secret = one_time.link()
    await one_time.give(tx, "emailChange", secret, user_id=user.id, email=email)
    letter = letters.confirmation(services.settings, email, secret)
    await mail(tx, services, letter, good_for=one_time.LASTS["emailChange"])


async def confirm_email(tx: Tx, secret: str, *, ip: str | None, request_id: str) -> None:
    """The address that the link was sent to is the user's from now on. Raises ValidationError, EmailTaken."""
    given = await one_time.take(tx, "emailChange", secret)
    if given is None or given.email is None:
        raise bad("confirmationToken")
    user = await again(tx, given.user_id)
    await _set_email(tx, acting(user, ip=ip), user, given.email, is_verified=True, request_id=request_id)


async def update_me(
    tx: Tx, services: Services, actor: Actor, patch: MePatch, *, if_match: int | None, request_id: str
) -> None:
    """Name, preferences, and what begins a change of address. Raises ValidationError, EmailTaken,
    PreconditionFailed."""
    user = await again(tx, actor.user_id or "")
    etag.require(if_match, user.version, (await me(tx, actor)).data)
    was = {"name": user.name, "preferences": user.preferences}
    now_is: dict[str, Any] = {
        "name": user.name if patch.name is UNSET else patch.name,
        "preferences": user.preferences if patch.preferences is UNSET else patch.preferences,
    }
    changed = [key for key in was if was[key] != now_is[key]]
    if changed:
        await tx.execute(
            "UPDATE users SET name = $2, preferences = $3, updated_at = $4, version = version + 1 WHERE id = $1",
            user.id,
            now_is["name"],
            now_is["preferences"],
            clock.now(),
        )
        user = await again(tx, user.id)
        await users.record(
            tx,
            actor,
            UserEvent.UPDATED,
            user,
            before={key: was[key] for key in changed},
            after={key: now_is[key] for key in changed},
            request_id=request_id,
        )
    if patch.email is UNSET or (patch.email == user.email and user.email_verified):
        return
    if not services.settings.smtp_url:
        await _set_email(tx, actor, user, patch.email, is_verified=False, request_id=request_id)
        return
    await ask_to_confirm(tx, services, user, patch.email)
    if user.email is not None and user.email != patch.email:
        letter = letters.address_changes(services.settings, user.email, patch.email)
        await mail(tx, services, letter, good_for=_NOTICE_GOOD_FOR)


async def own(tx: Tx, actor: Actor) -> UserRow:
    """The caller, locked until the transaction ends."""
    return await again(tx, actor.user_id or "")


async def set_two_factor(tx: Tx, services: Services, actor: Actor, *, is_on: bool, request_id: str) -> None:
    """Whether a second factor is asked for; who it was is told by mail."""
    user = await own(tx, actor)
    await _set_two_factor(tx, actor, user, is_on=is_on, request_id=request_id)
    if user.email is not None:
        letter = letters.second_factor_changed(services.settings, user.email, is_on=is_on)
        await mail(tx, services, letter, good_for=_NOTICE_GOOD_FOR)


async def _set_two_factor(tx: Tx, actor: Actor, user: UserRow, *, is_on: bool, request_id: str | None = None) -> None:
    if not is_on:
        await second_factor.remove(tx, user.id)
    await tx.execute(
        "UPDATE users SET two_factor_enabled = $2, updated_at = $3 WHERE id = $1", user.id, is_on, clock.now()
    )
    event = UserEvent.TWO_FACTOR_ENABLED if is_on else UserEvent.TWO_FACTOR_DISABLED
    await users.record(tx, actor, event, user, request_id=request_id)


async def mail(tx: Tx, services: Services, letter: Letter, *, good_for: timedelta) -> None:
    """Nothing, where no mail is sent."""
    if services.settings.smtp_url:
        await outbox.post(tx, services.secrets, letter, good_for=good_for)


def bad(field: str) -> ValidationError:
    return ValidationError.one(field, "Is unknown, used or too old")


async def _set_email(tx: Tx, actor: Actor, user: UserRow, email: str, *, is_verified: bool, request_id: str) -> None:
    if user.email == email and user.email_verified >= is_verified:
        return
    async with tx.unique(users_email_key=EmailTaken()):
        await tx.execute(
            """UPDATE users SET email = $2, email_verified = $3, updated_at = $4, version = version + 1
               WHERE id = $1""",
            user.id,
            email,
            is_verified,
            clock.now(),
        )
    # what was sent to the old address must not open the door any more
    await one_time.revoke(tx, "passwordReset", user.id)
    await users.record(
        tx,
        actor,
        UserEvent.UPDATED,
        user,
        before={"email": user.email, "emailVerified": user.email_verified},
        after={"email": email, "emailVerified": is_verified},
        request_id=request_id,
    )
