"""What can happen to tokens, and how a secret becomes an actor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from ipaddress import ip_address, ip_network

from msgspec import UNSET

from cygnid.core import changes, clock, etag, token_format
from cygnid.core.access import Permission, expand, refused_in, require, require_all, team_access
from cygnid.core.actors import Actor, plain_address
from cygnid.core.db import Read, Tx
from cygnid.core.errors import (
    Forbidden,
    InvalidState,
    TokenExpired,
    TokenRevoked,
    Unauthorized,
    ValidationError,
)
from cygnid.core.ids import new_id
from cygnid.core.plans import best
from cygnid.resources.tokens import queries
from cygnid.resources.tokens.access import changeable, own_permissions
from cygnid.resources.tokens.queries import Credential, TokenRow
from cygnid.resources.tokens.schemas import StoredKind, TokenEvent, TokenPatch

MAX_OVERLAP_SECONDS = 86_400
_INVALID = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@dataclass(frozen=True, kw_only=True)
class NewToken:
    """What a caller asks for. A deploy token's project must exist in the team: the caller has looked."""

    kind: StoredKind
    name: str
    scopes: Sequence[str]
    team_id: str | None = None
    project_id: str | None = None
    environment: str | None = None
    expires_at: datetime | None = None
    allowed_ips: Sequence[str] = ()


async def authenticate(read: Read, secret: str, ip: str | None) -> Actor:
    """The actor whose secret this is; see `core.actors.Authenticator`. Raises Forbidden for a wrong address."""
    if token_format.kind_of(secret) is None:
        raise Unauthorized(headers=_INVALID)
    digest, now = token_format.digest(secret), clock.now()
    found = await queries.credential(read, digest)
    if found is None or not _matches(found, digest, now):
        raise Unauthorized(headers=_INVALID)
    if found.revoked_at is not None:
        raise TokenRevoked(headers=_INVALID)
    if found.expires_at is not None and found.expires_at <= now:
        raise TokenExpired(headers=_INVALID)
    if found.team_id is not None and not found.plans:
        # its team was deleted
        raise Unauthorized(headers=_INVALID)
    for networks in (found.allowed_ips, found.team_allowed_ips):
        if networks and not _allowed(ip, networks):
            raise Forbidden(
                "This token may not be used from this address.",
                hint="allowedIps of the token and of its team list those it may be used from.",
            )
    return Actor(
        type="token" if found.user_id is None else "user",
        id=found.user_id or found.id,
        name=found.user_name or found.name,
        token_id=found.id,
        user_id=found.user_id,
        team_id=found.team_id,
        kind=found.kind,
        scopes=frozenset(found.scopes),
        project_id=found.project_id,
        environment=found.environment,
        is_instance_admin=found.user_is_instance_admin and Permission.INSTANCE_ADMIN in found.scopes,
        plan=best(found.plans),
        ip=ip,
        secret_created_at=found.secret_created_at,
    )


async def create_token(tx: Tx, actor: Actor, new: NewToken, *, request_id: str | None = None) -> tuple[TokenRow, str]:
    """The token and its secret, which is not kept. Raises ValidationError, NotFound for a foreign team, and
    InsufficientScope when the token would get what its creator lacks: nobody gives what they lack. Forbidden when it
    would live longer, or be of use in more places, than the token that makes it."""
    _check(new)
    await _require_within(tx, actor, expires_at=new.expires_at, allowed_ips=new.allowed_ips)
    wanted = expand(list(new.scopes))
    if new.kind == "personal":
        if actor.user_id is None:
            raise Forbidden("Only a user has personal tokens.", hint="Create a token of kind team or deploy.")
        require(expand(actor.scopes), Permission.TOKENS_WRITE)
        require_all(await own_permissions(tx, actor), wanted)
        return await issue(tx, actor, new, user_id=actor.user_id, request_id=request_id)
    if new.team_id is None:
        raise ValidationError.one("teamId", "A team or deploy token belongs to a team.", code="required")
    access = await team_access(
        tx, actor, new.team_id, Permission.TOKENS_WRITE, project_id=new.project_id, environment=new.environment
    )
    with refused_in(access.team_id, new.project_id, new.environment):
        require_all(access.permissions, wanted)
    return await issue(tx, actor, new, user_id=None, request_id=request_id)


async def issue(
    tx: Tx, actor: Actor, new: NewToken, *, user_id: str | None, request_id: str | None = None
) -> tuple[TokenRow, str]:
    """Store the token and record it, asking for no permission: for `create_token`, and for the installation itself."""
    row, secret = await store(tx, new, user_id=user_id, created_by=actor.created_by)
    after = {
        "name": row.name,
        "kind": row.kind,
        "scopes": row.scopes,
        "userId": user_id,
        "expiresAt": row.expires_at and clock.text(row.expires_at),
    }
    await changes.record(tx, actor, TokenEvent.CREATED, _subject(row), after=after, request_id=request_id)
    return row, secret


async def store(tx: Tx, new: NewToken, *, user_id: str | None, created_by: str) -> tuple[TokenRow, str]:
    """The token and its secret, unrecorded: a session's row in the audit log is that of the sign-in."""
    token_id, secret, now = new_id("tok"), token_format.mint(new.kind), clock.now()
    await tx.execute(
        """INSERT INTO tokens (id, kind, name, team_id, user_id, project_id, environment, secret_hash, prefix, last4,
               scopes, allowed_ips, expires_at, secret_created_at, created_at, updated_at, created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $14, $15)""",
        token_id,
        new.kind,
        new.name,
        new.team_id,
        user_id,
        new.project_id,
        new.environment,
        token_format.digest(secret),
        secret[:9],
        secret[-4:],
        list(new.scopes),
        list(new.allowed_ips),
        new.expires_at,
        now,
        created_by,
    )
    return await _again(tx, token_id), secret


async def update_token(
    tx: Tx,
    actor: Actor,
    token_id: str,
    patch: TokenPatch,
    *,
    if_match: int | None = None,
    request_id: str | None = None,
) -> TokenRow:
    """Another name, other addresses, fewer scopes. A personal token is changed by its user alone, and no token gives
    itself or another more addresses than it has. Raises ValidationError, NotFound, Forbidden, InsufficientScope,
    InvalidState, PreconditionFailed."""
    row = await changeable(tx, actor, token_id)
    _require_own(row, actor)
    now = clock.now()
    etag.require(if_match, row.version, queries.shown(row, now))
    if row.revoked_at is not None:
        raise InvalidState("This token is revoked.", hint="Create a new token.")
    name = row.name if patch.name is UNSET else patch.name
    scopes = row.scopes if patch.scopes is UNSET else patch.scopes
    networks = row.allowed_ips if patch.allowed_ips is UNSET else patch.allowed_ips or []
    _check_scopes(scopes)
    _check_networks(networks)
    if wider := sorted(expand(scopes) - expand(row.scopes)):
        raise ValidationError.one("scopes", f"May only shrink: {wider[0]} is not among them.", code="not_allowed")
    if networks != row.allowed_ips:
        _require_addresses(await _caller(tx, actor), networks)
    was = {"name": row.name, "scopes": row.scopes, "allowedIps": row.allowed_ips}
    now_is = {"name": name, "scopes": scopes, "allowedIps": networks}
    changed = [key for key in was if was[key] != now_is[key]]
    if not changed:
        return row
    await tx.execute(
        """UPDATE tokens SET name = $2, scopes = $3, allowed_ips = $4, updated_at = $5, version = version + 1
           WHERE id = $1""",
        row.id,
        name,
        scopes,
        networks,
        now,
    )
    row = await _again(tx, token_id)
    await changes.record(
        tx,
        actor,
        TokenEvent.UPDATED,
        _subject(row),
        before={key: was[key] for key in changed},
        after={key: now_is[key] for key in changed},
        request_id=request_id,
    )
    return row


async def revoke_token(
    tx: Tx, actor: Actor, token_id: str, *, if_match: int | None = None, request_id: str | None = None
) -> TokenRow:
    """Stop the token for good; it stays for the audit. Again is the same. Raises NotFound, InsufficientScope,
    PreconditionFailed."""
    row = await changeable(tx, actor, token_id)
    if row.revoked_at is not None:
        return row
    etag.require(if_match, row.version, queries.shown(row, clock.now()))
    return await end(tx, actor, row, TokenEvent.REVOKED, request_id=request_id)


async def end(
    tx: Tx,
    actor: Actor,
    row: TokenRow,
    event: TokenEvent,
    *,
    data: Mapping[str, str | None] | None = None,
    request_id: str | None,
) -> TokenRow:
    """It is of no use from now on; whoever calls this has found that it shall be."""
    now = clock.now()
    await tx.execute(
        "UPDATE tokens SET revoked_at = $2, updated_at = $2, version = version + 1 WHERE id = $1", row.id, now
    )
    await changes.record(
        tx,
        actor,
        event,
        _subject(row),
        before={"revokedAt": None},
        after={"revokedAt": clock.text(now)},
        data=data,
        request_id=request_id,
    )
    return await _again(tx, row.id)


async def rotate_token(
    tx: Tx, actor: Actor, token_id: str, *, overlap_seconds: int, request_id: str | None = None
) -> tuple[TokenRow, str]:
    """The same token with a new secret; the one before works for `overlap_seconds` more. A personal token is rotated
    by its user alone. Raises ValidationError, NotFound, Forbidden, InsufficientScope, InvalidState when it ended."""
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise ValidationError.one("overlapSeconds", f"Must be from 0 to {MAX_OVERLAP_SECONDS}.")
    row = await changeable(tx, actor, token_id)
    _require_own(row, actor)
    # its new secret is as good as a new token's
    await _require_within(tx, actor, expires_at=row.expires_at, allowed_ips=row.allowed_ips)
    if row.user_id is not None:
        require_all(await own_permissions(tx, actor), expand(row.scopes))
    now = clock.now()
    if (status := row.status(now)) != "active":
        raise InvalidState(f"This token is {status}.", hint="Create a new token.", details={"status": status})
    secret = token_format.mint(row.kind)
    await tx.execute(
        """UPDATE tokens SET previous_secret_hash = CASE WHEN $2::timestamptz IS NULL THEN NULL ELSE secret_hash END,
               previous_secret_expires_at = $2, secret_hash = $3, prefix = $4, last4 = $5, secret_created_at = $6,
               updated_at = $6, version = version + 1
           WHERE id = $1""",
        token_id,
        now + timedelta(seconds=overlap_seconds) if overlap_seconds else None,
        token_format.digest(secret),
        secret[:9],
        secret[-4:],
        now,
    )
    await changes.record(
        tx, actor, TokenEvent.ROTATED, _subject(row), data={"overlapSeconds": overlap_seconds}, request_id=request_id
    )
    return await _again(tx, token_id), secret


def _require_own(row: TokenRow, actor: Actor) -> None:
    if row.user_id is not None and row.user_id != actor.user_id:
        raise Forbidden("A personal token is changed and rotated by its user alone.", hint="You may revoke it.")
    if row.kind == "session":
        raise InvalidState("A session is neither changed nor rotated: sign in again.")


async def _require_within(read: Read, actor: Actor, *, expires_at: datetime | None, allowed_ips: Sequence[str]) -> None:
    """A token that ends, or is held to addresses, gives nobody a secret that is not: it would outlive itself. A
    session may: whoever signs in makes tokens that stay. Raises Forbidden."""
    own = await _caller(read, actor)
    if own is not None and own.expires_at is not None and (expires_at is None or expires_at > own.expires_at):
        raise Forbidden(
            "The token that you use ends before this one would.",
            hint=f"Use another token, or give an expiresAt up to {clock.text(own.expires_at)}.",
        )
    _require_addresses(own, allowed_ips)


def _require_addresses(own: TokenRow | None, allowed_ips: Sequence[str]) -> None:
    if own is not None and own.allowed_ips and not _is_within(allowed_ips, own.allowed_ips):
        raise Forbidden(
            "The token that you use is held to fewer addresses than this one would be.",
            hint=f"Use another token, or give allowedIps within {', '.join(own.allowed_ips)}.",
        )


async def _caller(read: Read, actor: Actor) -> TokenRow | None:
    """The token that is used; None: a session, or the installation itself."""
    return None if actor.token_id is None or actor.kind == "session" else await queries.token(read, actor.token_id)


def _check(new: NewToken) -> None:
    _check_scopes(new.scopes)
    if Permission.INSTANCE_ADMIN in new.scopes and new.kind != "personal":
        raise ValidationError.one("scopes", "Only a user's own token can hold instance:admin.")
    if (new.kind == "deploy") != (new.project_id is not None):
        raise ValidationError.one("projectId", "A deploy token names its project; no other token does.")
    if new.environment is not None and new.project_id is None:
        raise ValidationError.one("environment", "Only a deploy token is bound to an environment.")
    if new.kind == "personal" and new.team_id is not None:
        raise ValidationError.one("teamId", "A personal token acts in every team of its user.")
    if new.expires_at is not None and new.expires_at <= clock.now():
        raise ValidationError.one("expiresAt", "Must be in the future.")
    _check_networks(new.allowed_ips)


def _check_scopes(scopes: Sequence[str]) -> None:
    if unknown := [scope for scope in scopes if not expand([scope])]:
        raise ValidationError.one(
            "scopes", f"There is no permission {unknown[0]}.", code="not_allowed", unknown=unknown
        )


def _check_networks(networks: Sequence[str]) -> None:
    for index, network in enumerate(networks):
        try:
            ip_network(network)
        except ValueError as wrong:
            raise ValidationError.one(f"allowedIps[{index}]", str(wrong)) from wrong


def _is_within(networks: Sequence[str], allowed: Sequence[str]) -> bool:
    """Whether each address of `networks` is one of `allowed`; no networks are all addresses."""
    outer = [ip_network(network) for network in allowed]
    return bool(networks) and all(
        any(inner.version == around.version and inner.subnet_of(around) for around in outer)  # type: ignore[arg-type]
        for inner in map(ip_network, networks)
    )


def _matches(found: Credential, digest: bytes, now: datetime) -> bool:
    if compare_digest(found.secret_hash, digest):
        return True
    return (
        found.previous_secret_hash is not None
        and compare_digest(found.previous_secret_hash, digest)
        and found.previous_secret_expires_at is not None
        and now < found.previous_secret_expires_at
    )


def _allowed(ip: str | None, networks: Sequence[str]) -> bool:
    plain = None if ip is None else plain_address(ip)
    return plain is not None and any(ip_address(plain) in ip_network(network) for network in networks)


def _subject(row: TokenRow) -> changes.Subject:
    return changes.Subject(
        type="token",
        id=row.id,
        name=row.name,
        team_id=row.team_id,
        project_id=row.project_id,
        environment=row.environment,
    )


async def _again(tx: Tx, token_id: str) -> TokenRow:
    row = await queries.token(tx, token_id)
    assert row is not None
    return row
