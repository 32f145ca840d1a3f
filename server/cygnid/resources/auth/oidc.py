"""OpenID Connect with any provider (OpenID Connect Core 1.0; code flow with PKCE, RFC 7636). Knows no database."""

import json
import re
from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
import msgspec
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from cygnid.core import clock
from cygnid.core.errors import Unavailable
from cygnid.resources.auth.schemas import ProviderRefused
from cygnid.settings import InvalidSetting

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
"""Signatures only, never HMAC: whoever knows the client's secret could sign then."""
_LEEWAY_SECONDS = 60
_TIMEOUT_SECONDS = 10
_MOST_BYTES = 1 << 20
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class Provider(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One of CYGNI_OIDC_PROVIDERS."""

    id: str
    name: str
    issuer: str
    client_id: str
    client_secret: str = ""
    """Empty: a public client, which PKCE protects alone."""
    register: bool = False
    """Whether whoever signs in by it for the first time gets a user, though registration is not open."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of who signed in."""

    issuer: str
    subject: str
    email: str | None
    """Only one that the provider has verified."""
    name: str | None


class _Discovery(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


@lru_cache(8)
def providers(setting: str) -> dict[str, Provider]:
    """By id, in the operator's order. Raises InvalidSetting."""
    try:
        found = msgspec.json.decode(setting or "[]", type=list[Provider])
    except msgspec.DecodeError as problem:
        raise InvalidSetting(f"CYGNI_OIDC_PROVIDERS: {problem}") from problem
    for one in found:
        if not _ID.fullmatch(one.id):
            raise InvalidSetting(f"CYGNI_OIDC_PROVIDERS: {one.id!r} is no id: a-z, 0-9 and -, at most 40.")
        if not _is_safe(one.issuer):
            raise InvalidSetting(f"CYGNI_OIDC_PROVIDERS: the issuer of {one.id} must be https.")
    return {one.id: one for one in found}


async def authorization_url(provider: Provider, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
    """Where the browser goes. Raises Unavailable when the provider does not answer."""
    found = await _discover(provider)
    query = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": "openid email profile",
        "state": state,
        "nonce": nonce,
        "code_challenge": _challenge(verifier),
        "code_challenge_method": "S256",
    }
    sign = "&" if urlsplit(found.authorization_endpoint).query else "?"
    return f"{found.authorization_endpoint}{sign}{urlencode(query)}"


async def person(provider: Provider, *, code: str, redirect_uri: str, nonce: str, verifier: str) -> Person:
    """Who came back with this code. Raises ProviderRefused for what the provider or we do not accept, Unavailable."""
    found = await _discover(provider)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": provider.client_id,
        "code_verifier": verifier,
    }
    login = httpx2.BasicAuth(provider.client_id, provider.client_secret) if provider.client_secret else None
    answer = await _ask("POST", found.token_endpoint, data=form, auth=login)
    try:
        id_token = msgspec.json.decode(answer, type=_Tokens).id_token
    except msgspec.DecodeError as wrong:
        raise ProviderRefused("The provider answered without an id_token.") from wrong
    keys = await _ask("GET", found.jwks_uri)
    claims = _verified(provider, id_token, keys, nonce)
    email = claims.get("email")
    is_verified = claims.get("email_verified") in (True, "true")
    name = claims.get("name")
    return Person(
        issuer=provider.issuer,
        subject=str(claims["sub"]),
        email=email if isinstance(email, str) and is_verified else None,
        name=name if isinstance(name, str) else None,
    )


def _verified(provider: Provider, id_token: str, keys: bytes, nonce: str) -> dict[str, Any]:
    """The claims, after all that OpenID Connect Core 3.1.3.7 asks for. Raises ProviderRefused."""
    rules = jwt.JWTClaimsRegistry(
        now=int(clock.now().timestamp()),
        leeway=_LEEWAY_SECONDS,
        iss={"essential": True, "value": provider.issuer},
        sub={"essential": True},
        aud={"essential": True, "value": provider.client_id},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        token = jwt.decode(id_token, jwk.KeySet.import_key_set(json.loads(keys)), algorithms=_ALGORITHMS)
        rules.validate(token.claims)
    except (JoseError, ValueError, TypeError, KeyError) as wrong:
        raise ProviderRefused(f"What the provider said is not accepted: {wrong}") from wrong
    claims = dict(token.claims)
    audience = claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != provider.client_id:
        raise ProviderRefused("What the provider said is not accepted: it is for another application.")
    return claims


async def _discover(provider: Provider) -> _Discovery:
    """OpenID Connect Discovery 1.0. The issuer must say that it is the one that was configured."""
    text = await _ask("GET", f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration")
    try:
        found = msgspec.json.decode(text, type=_Discovery)
    except msgspec.DecodeError as wrong:
        raise Unavailable(f"{provider.name} has no OpenID Connect configuration.") from wrong
    if found.issuer != provider.issuer:
        raise Unavailable(f"{provider.name} says that it is another issuer.")
    if not all(map(_is_safe, (found.authorization_endpoint, found.token_endpoint, found.jwks_uri))):
        raise Unavailable(f"{provider.name} names addresses without https.")
    return found


async def _ask(method: str, url: str, **options: Any) -> bytes:
    """The body of a 200. Raises ProviderRefused for a 4xx, Unavailable for anything else."""
    try:
        async with (
            httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, follow_redirects=False) as client,
            client.stream(method, url, headers={"Accept": "application/json"}, **options) as answer,
        ):
            text = b""
            async for chunk in answer.aiter_bytes():
                text += chunk
                if len(text) > _MOST_BYTES:
                    raise Unavailable("The provider's answer is too long.")
    except httpx2.HTTPError as away:
        raise Unavailable("The provider does not answer.", headers={"Retry-After": "10"}) from away
    if answer.status_code == 200:
        return text
    if 400 <= answer.status_code < 500:
        raise ProviderRefused(f"The provider answered {answer.status_code}.")
    raise Unavailable(f"The provider answered {answer.status_code}.", headers={"Retry-After": "10"})


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _is_safe(url: str) -> bool:
    """https, or this very machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))
