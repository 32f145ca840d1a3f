"""Routes of signing in by a provider (OpenID Connect)."""

from urllib.parse import urlsplit

from cygnid.core import clock
from cygnid.core.db import begin
from cygnid.core.errors import CygniError, NotFound, RateLimited, Unavailable, ValidationError
from cygnid.core.http import Answer, Call, operation
from cygnid.resources.auth import actions, identities, oidc
from cygnid.resources.auth.oidc import Provider
from cygnid.resources.auth.schemas import (
    OidcFinishInput,
    OidcStart,
    OidcStartInput,
    ProviderRefused,
    RegistrationClosed,
)
from cygnid.resources.auth.throttle import Attempt
from cygnid.resources.tokens.queries import shown_with_secret
from cygnid.resources.tokens.schemas import TokenWithSecret


@operation(
    "POST",
    "/v1/auth/oidc/{provider}/start",
    id="auth.startOidc",
    needs="public",
    answers=OidcStart,
    errors=[NotFound, ProviderRefused, Unavailable],
    replayable=False,
    example={"redirectUri": "http://127.0.0.1:8765/callback"},
)
async def start(call: Call, provider: str, data: OidcStartInput) -> Answer:
    """Begin to sign in by a provider: send the browser to `authorizationUrl`, and keep `state` to compare."""
    services, chosen = call.services, _provider(call, provider)
    if not _is_ours(services.settings.dashboard_url, data.redirect_uri):
        raise ValidationError.one("redirectUri", "Must be a page of the dashboard, or http on this machine")
    async with begin(services.pool) as tx:
        state, flow, ends = await identities.begin(tx, services.secrets, chosen, data.redirect_uri)
    url = await oidc.authorization_url(
        chosen, redirect_uri=data.redirect_uri, state=state, nonce=flow.nonce, verifier=flow.verifier
    )
    return Answer(data=OidcStart(authorization_url=url, state=state, expires_at=ends), has_secret=True)


@operation(
    "POST",
    "/v1/auth/oidc/{provider}/finish",
    id="auth.finishOidc",
    needs="public",
    answers=TokenWithSecret,
    errors=[NotFound, ProviderRefused, RegistrationClosed, RateLimited, Unavailable],
    replayable=False,
    example={"code": "SplxlOBeZQQYbYS6WxSbIA", "state": "af0ifjsldkj"},
)
async def finish(call: Call, provider: str, data: OidcFinishInput) -> Answer:
    """Sign in with what the provider sent back: the answer is a session of twelve hours."""
    services, ip, chosen = call.services, call.actor.ip, _provider(call, provider)
    attempt = Attempt(services.secrets, ip=ip)
    async with begin(services.pool) as tx:
        await attempt.count(tx)
        flow = await identities.take(tx, services.secrets, chosen, data.state)
    try:
        if flow is None:
            raise ProviderRefused("This state is unknown, used or too old.")
        who = await oidc.person(
            chosen, code=data.code, redirect_uri=flow.redirect_uri, nonce=flow.nonce, verifier=flow.verifier
        )
        async with begin(services.pool) as tx:
            user = await identities.user_of(tx, services.settings, chosen, who, ip=ip)
            await attempt.succeeded(tx)
            row, secret = await actions.sign_in(
                tx, user, client=call.client, ip=ip, request_id=call.request_id, how=chosen.id
            )
            return Answer(data=shown_with_secret(row, secret, clock.now()), has_secret=True)
    except CygniError as refused:
        if refused.status < 500:
            async with begin(services.pool) as tx:
                await actions.note_failure(tx, None, ip=ip, request_id=call.request_id, how=chosen.id)
        raise


def _provider(call: Call, provider_id: str) -> Provider:
    found = oidc.providers(call.services.settings.oidc_providers).get(provider_id)
    if found is None:
        raise NotFound("There is no such provider.", hint="GET /v1/auth/methods lists them.")
    return found


def _is_ours(dashboard_url: str, uri: str) -> bool:
    """Whether a code may be sent there: the provider has a list too, but we do not lean on it alone."""
    parts = urlsplit(uri)
    if parts.username is not None or parts.fragment:
        return False
    if parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"):
        return True
    ours = urlsplit(dashboard_url)
    return bool(dashboard_url) and (parts.scheme, parts.netloc) == (ours.scheme, ours.netloc)
