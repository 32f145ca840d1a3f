"""Whom a provider's person is here. What is stored of sign-ins that are under way, and of who somebody is."""

import secrets as chance
from datetime import datetime, timedelta

import msgspec

from cygnid.core import clock
from cygnid.core.actors import anonymous
from cygnid.core.db import Tx
from cygnid.core.errors import Forbidden
from cygnid.core.secrets import Secrets
from cygnid.core.token_format import digest
from cygnid.resources.auth.actions import again
from cygnid.resources.auth.oidc import Person, Provider
from cygnid.resources.auth.schemas import ProviderRefused, RegistrationClosed, email_address
from cygnid.resources.users.actions import create_user
from cygnid.resources.users.queries import UserRow, user_of_email
from cygnid.settings import Settings

LASTS = timedelta(minutes=10)
_FLOW = "oidc.flow"


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept while the browser is at the provider."""

    nonce: str
    verifier: str
    redirect_uri: str


async def begin(tx: Tx, secrets: Secrets, provider: Provider, redirect_uri: str) -> tuple[str, Flow, datetime]:
    """The state that comes back, what is kept, and until when."""
    state, ends = chance.token_urlsafe(32), clock.now() + LASTS
    flow = Flow(nonce=chance.token_urlsafe(32), verifier=chance.token_urlsafe(48), redirect_uri=redirect_uri)
    await tx.execute(
        "INSERT INTO oidc_flows (state_hash, provider_id, content, expires_at) VALUES ($1, $2, $3, $4)",
        digest(state),
        provider.id,
        secrets.seal(_FLOW, msgspec.json.encode(flow)),
        ends,
    )
    return state, flow, ends


async def take(tx: Tx, secrets: Secrets, provider: Provider, state: str) -> Flow | None:
    """Use it up. None: the state is unknown, used, of another provider, or too old."""
    content = await tx.value(
        "DELETE FROM oidc_flows WHERE state_hash = $1 AND provider_id = $2 AND expires_at > $3 RETURNING content",
        digest(state),
        provider.id,
        clock.now(),
    )
    return None if content is None else msgspec.json.decode(secrets.open(_FLOW, content), type=Flow)


async def user_of(tx: Tx, settings: Settings, provider: Provider, who: Person, *, ip: str | None) -> UserRow:
    """Whom this person is: known by issuer and subject; else by an address that both the provider and we have
    verified, so that nobody gets in by writing somebody's address into an account first; else a new user, where that
    is allowed. Raises ProviderRefused, Forbidden, RegistrationClosed."""
    known = await tx.value("SELECT user_id FROM identities WHERE issuer = $1 AND subject = $2", who.issuer, who.subject)
    if known is not None:
        return await again(tx, known)
    if who.email is None:
        raise ProviderRefused("The provider has not verified an e-mail address of yours.")
    email = email_address(who.email)
    user = await user_of_email(tx, email)
    if user is not None and (not user.email_verified or user.two_factor_enabled):
        raise Forbidden(
            "Somebody here has this address, and is not signed in by a provider.",
            hint="Sign in with the password. An address that is confirmed, of a user without a second factor, is "
            "taken for the same person.",
        )
    if user is None:
        if settings.registration != "open" and not provider.register:
            raise RegistrationClosed
        user = await create_user(tx, anonymous(ip), name=(who.name or email.partition("@")[0])[:100], email=email)
        await tx.execute("UPDATE users SET email_verified = true WHERE id = $1", user.id)
    await tx.execute(
        "INSERT INTO identities (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4)",
        who.issuer,
        who.subject,
        user.id,
        clock.now(),
    )
    return await again(tx, user.id)


async def forget(tx: Tx) -> int:
    """Drop sign-ins that nobody finished; how many."""
    return await tx.execute("DELETE FROM oidc_flows WHERE expires_at <= $1", clock.now())
