"""Routes of one's own account: password, address, name. They begin their own transactions, as those of signing in."""

from dataclasses import dataclass
from typing import Self

import msgspec
from msgspec import UNSET

from cygnid.core.db import Tx, begin, read
from cygnid.core.errors import PreconditionFailed, RateLimited, ValidationError
from cygnid.core.http import Answer, Call, operation
from cygnid.resources.auth import credentials, one_time, passwords, queries
from cygnid.resources.auth.schemas import (
    EmailConfirmInput,
    InvalidCredentials,
    MePatch,
    PasswordInput,
    PasswordResetConfirmInput,
    PasswordResetInput,
    email_address,
    person_name,
)
from cygnid.resources.auth.throttle import Attempt
from cygnid.resources.tokens.me import me
from cygnid.resources.tokens.schemas import Me
from cygnid.resources.users.queries import UserRow, user
from cygnid.resources.users.schemas import EmailTaken

_MOST_PREFERENCES = 16 << 10


@operation(
    "POST",
    "/v1/auth/password",
    id="auth.changePassword",
    needs="session",
    status=204,
    errors=[InvalidCredentials, RateLimited],
    replayable=False,
    example={"currentPassword": "three unlikely words", "newPassword": "four rather odd words"},
)
async def change_password(call: Call, data: PasswordInput) -> None:
    """Change your password; your other sessions end."""
    checked = await Checked.of(call, data.current_password)
    require_good("newPassword", data.new_password, checked.user)
    password_hash = await passwords.hashed(data.new_password)
    async with begin(call.services.pool) as tx:
        await checked.hold(tx)
        await credentials.change_password(
            tx, call.services, call.actor, checked.user, password_hash, request_id=call.request_id
        )


@operation(
    "POST",
    "/v1/auth/password-reset",
    id="auth.requestPasswordReset",
    needs="public",
    status=204,
    errors=[RateLimited],
    replayable=False,
    example={"email": "ada@example.com"},
)
async def request_password_reset(call: Call, data: PasswordResetInput) -> None:
    """Ask for a new password by mail; the answer is the same whether somebody has this address or not."""
    email = data.email.strip().lower()
    attempt = Attempt(call.services.secrets, ip=call.actor.ip, account=f"reset:{email}")
    async with begin(call.services.pool) as tx:
        await attempt.count(tx)
        await credentials.ask_for_reset(tx, call.services, email)


@operation(
    "POST",
    "/v1/auth/password-reset/confirm",
    id="auth.confirmPasswordReset",
    needs="public",
    status=204,
    errors=[RateLimited],
    replayable=False,
    example={"resetToken": "kKx6Xh3v0k0q8bqkq4hJ0J8r3l1h9H9tq1m5c2b7a3E", "newPassword": "four rather odd words"},
)
async def confirm_password_reset(call: Call, data: PasswordResetConfirmInput) -> None:
    """Set a new password with what was mailed; all of the user's sessions end."""
    services = call.services
    attempt = Attempt(services.secrets, ip=call.actor.ip)
    async with begin(services.pool) as tx:
        await attempt.count(tx)
        given = await one_time.good_for(tx, "passwordReset", data.reset_token)
        who = None if given is None else await user(tx, given.user_id)
    if who is None:
        raise credentials.bad("resetToken")
    require_good("newPassword", data.new_password, who)
    password_hash = await passwords.hashed(data.new_password)
    async with begin(services.pool) as tx:
        await credentials.reset(
            tx, services, data.reset_token, password_hash, ip=call.actor.ip, request_id=call.request_id
        )
        await attempt.succeeded(tx)


@operation(
    "POST",
    "/v1/auth/email/confirm",
    id="auth.confirmEmail",
    needs="public",
    status=204,
    errors=[EmailTaken, RateLimited],
    replayable=False,
    example={"confirmationToken": "mB0m2Yt8s1f7Q5o9c3V6k4Zx1n8r2L0aP7h3j5W9d6E"},
)
async def confirm_email(call: Call, data: EmailConfirmInput) -> None:
    """Confirm an address with what was mailed to it."""
    attempt = Attempt(call.services.secrets, ip=call.actor.ip)
    async with begin(call.services.pool) as tx:
        await attempt.count(tx)
    async with begin(call.services.pool) as tx:
        await credentials.confirm_email(tx, data.confirmation_token, ip=call.actor.ip, request_id=call.request_id)
        await attempt.succeeded(tx)


@operation(
    "PATCH",
    "/v1/me",
    id="me.update",
    needs="session",
    answers=Me,
    errors=[InvalidCredentials, EmailTaken, PreconditionFailed, RateLimited],
    replayable=False,
    example={"name": "Ada Lovelace", "preferences": {"theme": "dark"}},
)
async def update_me(call: Call, data: MePatch) -> Answer:
    """Change your name, preferences or e-mail address; a new address takes effect when it is confirmed."""
    patch, checked = _checked_patch(data), None
    if patch.email is not UNSET:
        if patch.current_password is None:
            raise ValidationError.one("currentPassword", "Is required to change the address", code="required")
        checked = await Checked.of(call, patch.current_password)
    async with begin(call.services.pool) as tx:
        if checked is not None:
            await checked.hold(tx)
        await credentials.update_me(
            tx, call.services, call.actor, patch, if_match=call.if_match, request_id=call.request_id
        )
    async with read(call.services.pool) as reader:
        return await me(reader, call.actor)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Proof that the caller knows their password."""

    user: UserRow
    kept: str

    @classmethod
    async def of(cls, call: Call, password: str) -> Self:
        """Counted as attempts to sign in are. Raises InvalidCredentials, RateLimited."""
        services, user_id = call.services, call.actor.user_id or ""
        attempt = Attempt(services.secrets, ip=call.actor.ip, account=user_id)
        async with begin(services.pool) as tx:
            await attempt.count(tx)
            who, kept = await user(tx, user_id), await queries.password(tx, user_id)
        if not await passwords.matches(password, kept) or who is None or kept is None:
            raise InvalidCredentials(
                "This is not your password.", hint="If you have none yet: POST /v1/auth/password-reset."
            )
        async with begin(services.pool) as tx:
            await attempt.succeeded(tx)
        return cls(user=who, kept=kept)

    async def hold(self, tx: Tx) -> None:
        """It is still so, until the transaction ends. Raises InvalidCredentials."""
        if await queries.password_to_hold(tx, self.user.id) != self.kept:
            raise InvalidCredentials("Your password was changed meanwhile.")


def require_good(field: str, password: str, who: UserRow) -> None:
    """Raises ValidationError for a password that would be guessed."""
    if reason := passwords.check(password, knows=(who.email or "", who.name)):
        raise ValidationError.one(field, reason)


def _checked_patch(data: MePatch) -> MePatch:
    if data.preferences is not UNSET and len(msgspec.json.encode(data.preferences)) > _MOST_PREFERENCES:
        raise ValidationError.one("preferences", f"Must be at most {_MOST_PREFERENCES} bytes of JSON", code="too_long")
    return msgspec.structs.replace(
        data,
        name=UNSET if data.name is UNSET else person_name(data.name),
        email=UNSET if data.email is UNSET else email_address(data.email),
    )
