"""Routes of signing in. Those that look at a password begin their own transactions: hashing takes a while, and a
failed attempt is kept though its answer is an error."""

from cygnid.core import clock
from cygnid.core.actors import Actor
from cygnid.core.db import Read, Tx, begin
from cygnid.core.errors import NotFound, RateLimited, ValidationError
from cygnid.core.http import Answer, Call, operation
from cygnid.core.schemas import Page
from cygnid.resources.auth import actions, oidc, passwords, queries, second_factor
from cygnid.resources.auth.credentials import ask_to_confirm
from cygnid.resources.auth.schemas import (
    AuthMethods,
    AuthProvider,
    InvalidCredentials,
    LoginInput,
    OtpRequired,
    RegisterInput,
    RegistrationClosed,
    SessionsQuery,
    email_address,
    person_name,
)
from cygnid.resources.auth.throttle import Attempt
from cygnid.resources.tokens.queries import TokenRow, shown_with_secret
from cygnid.resources.tokens.schemas import Token, TokenWithSecret
from cygnid.resources.users.actions import create_user
from cygnid.resources.users.queries import shown, user_of_email
from cygnid.resources.users.schemas import EmailTaken, User

_SESSIONS, _SESSION = "/v1/auth/sessions", "/v1/auth/sessions/{id}"


@operation("GET", "/v1/auth/methods", id="auth.methods", needs="public")
async def get_methods(read: Read, call: Call) -> AuthMethods:
    """Which ways of signing in there are."""
    found = oidc.providers(call.services.settings.oidc_providers)
    is_set_up = await queries.somebody_can_sign_in(read)
    return AuthMethods(
        registration=call.services.settings.registration if is_set_up else "setup",
        password=True,
        providers=[AuthProvider(id=one.id, name=one.name) for one in found.values()],
        mail=bool(call.services.settings.smtp_url),
    )


@operation(
    "POST",
    "/v1/auth/register",
    id="auth.register",
    needs="public",
    status=201,
    answers=User,
    errors=[RegistrationClosed, EmailTaken, RateLimited],
    replayable=False,
    example={"email": "grace@example.com", "password": "three unlikely words", "name": "Grace"},
)
async def register(call: Call, data: RegisterInput) -> Answer:
    """Register, perhaps by an invitation; with a setup code, complete the user who owns the installation (200)."""
    services, ip = call.services, call.actor.ip
    email, name = email_address(data.email), person_name(data.name)
    if reason := passwords.check(data.password, knows=(email, name)):
        raise ValidationError.one("password", reason)
    attempt = Attempt(services.secrets, ip=ip)
    async with begin(services.pool) as tx:
        await attempt.count(tx)
    if data.setup_code is None and data.invitation_token is None and services.settings.registration != "open":
        raise RegistrationClosed
    password_hash = await passwords.hashed(data.password)
    async with begin(services.pool) as tx:
        if data.setup_code is not None:
            user = await actions.complete(
                tx,
                data.setup_code,
                email=email,
                name=name,
                password_hash=password_hash,
                ip=ip,
                request_id=call.request_id,
            )
        elif data.invitation_token is not None:
            user = await actions.join(
                tx,
                services.settings,
                data.invitation_token,
                email=email,
                name=name,
                password_hash=password_hash,
                ip=ip,
                request_id=call.request_id,
            )
        else:
            user = await create_user(tx, call.actor, name=name, email=email)
            await actions.set_password(tx, user.id, password_hash)
        if services.settings.smtp_url and not user.email_verified:
            await ask_to_confirm(tx, services, user, email)
        await attempt.succeeded(tx)
    return Answer(data=shown(user), status=None if data.setup_code is None else 200)


@operation(
    "POST",
    "/v1/auth/login",
    id="auth.login",
    needs="public",
    answers=TokenWithSecret,
    errors=[InvalidCredentials, OtpRequired, RateLimited],
    replayable=False,
    example={"email": "ada@example.com", "password": "three unlikely words"},
)
async def login(call: Call, data: LoginInput) -> Answer:
    """Sign in with a password: the answer is a session of twelve hours."""
    services, ip, email = call.services, call.actor.ip, data.email.strip().lower()
    attempt = Attempt(services.secrets, ip=ip, account=email)
    async with begin(services.pool) as tx:
        await attempt.count(tx)
        user = await user_of_email(tx, email)
        kept = None if user is None else await queries.password(tx, user.id)
    is_right = await passwords.matches(data.password, kept)
    renewed = await passwords.hashed(data.password) if is_right and kept and passwords.is_outdated(kept) else None
    async with begin(services.pool) as tx:
        # it may have been changed while we looked at it, which ends every session
        if user is not None and is_right and await queries.password_to_hold(tx, user.id) == kept:
            if renewed is not None:
                await actions.set_password(tx, user.id, renewed)
            factor, is_enough = None, not user.two_factor_enabled
            if user.two_factor_enabled and data.otp is not None:
                factor = await second_factor.take(tx, services.secrets, user.id, data.otp)
                is_enough = factor is not None
            if is_enough:
                await attempt.succeeded(tx)
                row, secret = await actions.sign_in(
                    tx, user, client=call.client, ip=ip, request_id=call.request_id, how="password", factor=factor
                )
                return _with_secret(row, secret)
            if data.otp is None:
                # counted as an attempt: who has the password alone learns once that it is right
                raise OtpRequired(headers={"WWW-Authenticate": "Bearer"})
        await actions.note_failure(tx, user, ip=ip, request_id=call.request_id)
    raise InvalidCredentials(headers={"WWW-Authenticate": "Bearer"})


@operation("POST", "/v1/auth/logout", id="auth.logout", needs="session", status=204, replayable=False)
async def logout(tx: Tx, call: Call, actor: Actor) -> None:
    """End the session that you use."""
    await actions.sign_out(tx, actor, request_id=call.request_id)


@operation("GET", _SESSIONS, id="sessions.list", needs="session")
async def list_sessions(read: Read, actor: Actor, query: SessionsQuery) -> Page[Token]:
    """List your sessions that are active, newest first."""
    return await queries.sessions(read, actor.user_id or "", query)


@operation("DELETE", _SESSIONS, id="sessions.deleteOthers", needs="session", status=204, replayable=False)
async def delete_other_sessions(tx: Tx, call: Call, actor: Actor) -> None:
    """End all of your sessions but the one that you use."""
    await actions.end_sessions(tx, actor, request_id=call.request_id)


@operation("GET", _SESSION, id="sessions.get", needs="session", errors=[NotFound])
async def get_session(read: Read, actor: Actor, id: str) -> Token:  # noqa: A002  the path's word
    """Get one of your sessions, also when it has ended."""
    found = await queries.session(read, actor.user_id or "", id)
    if found is None:
        raise NotFound
    return found


@operation("DELETE", _SESSION, id="sessions.delete", needs="session", status=204, errors=[NotFound], replayable=False)
async def delete_session(tx: Tx, call: Call, actor: Actor, id: str) -> None:  # noqa: A002  the path's word
    """End one of your sessions."""
    await actions.end_session(tx, actor, id, request_id=call.request_id)


def _with_secret(row: TokenRow, secret: str) -> Answer:
    return Answer(data=shown_with_secret(row, secret, clock.now()), has_secret=True)
