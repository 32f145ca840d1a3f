"""Routes of tokens, and of who the caller is."""

from cygnid.core import clock
from cygnid.core.access import Permission
from cygnid.core.actors import Actor
from cygnid.core.db import Read, Tx
from cygnid.core.errors import InvalidState, NotFound, PreconditionFailed, SecretNotReplayable
from cygnid.core.http import Answer, Call, operation
from cygnid.core.schemas import Page
from cygnid.resources.projects.access import environment_access, project_access
from cygnid.resources.projects.queries import ProjectRow
from cygnid.resources.teams.access import chosen_team
from cygnid.resources.tokens import actions, leaks, queries
from cygnid.resources.tokens.access import TokenAccess, TokensAccess
from cygnid.resources.tokens.actions import NewToken
from cygnid.resources.tokens.me import me
from cygnid.resources.tokens.queries import TokenRow
from cygnid.resources.tokens.schemas import (
    LeakAnswer,
    LeakReport,
    Me,
    RotateInput,
    Token,
    TokenInput,
    TokenPatch,
    TokensQuery,
    TokenWithSecret,
)

_TOKEN = "/v1/tokens/{id}"  # noqa: S105  a path


@operation("GET", "/v1/me", id="me.get", needs="any", answers=Me)
async def get_me(read: Read, actor: Actor) -> Answer:
    """Who you are: your user, the token you use, and your teams."""
    return await me(read, actor)


@operation("GET", "/v1/tokens", id="tokens.list", needs=Permission.TOKENS_READ)
async def list_tokens(read: Read, access: TokensAccess, query: TokensQuery) -> Page[Token]:
    """List your own tokens and those of the teams whose tokens you may read."""
    return await queries.visible_tokens(read, access.visible, query, clock.now())


@operation(
    "POST",
    "/v1/tokens",
    id="tokens.create",
    needs=Permission.TOKENS_WRITE,
    status=201,
    answers=TokenWithSecret,
    errors=[SecretNotReplayable, InvalidState],
    example={
        "name": "ci",
        "kind": "deploy",
        "projectId": "proj_01kav9fwd4fcp8h18kz45j47x0",
        "scopes": ["deployments:write"],
    },
)
async def create_token(tx: Tx, call: Call, access: TokensAccess, data: TokenInput) -> Answer:
    """Create a token; its secret is shown this once."""
    actor = access.actor
    kind = data.kind or ("personal" if actor.user_id is not None else "team")
    project_id, team_id = data.project_id, data.team_id
    if kind == "deploy" and project_id is not None:
        project = await _project(tx, actor, project_id, data.environment)
        if team_id not in (None, project.team_id):
            raise NotFound
        project_id, team_id = project.id, project.team_id
    elif kind == "team":
        team_id = (await chosen_team(tx, actor, team_id, Permission.TOKENS_WRITE)).team_id
    new = NewToken(
        kind=kind,
        name=data.name,
        scopes=data.scopes,
        team_id=team_id,
        project_id=project_id,
        environment=data.environment,
        expires_at=data.expires_at,
        allowed_ips=data.allowed_ips,
    )
    row, secret = await actions.create_token(tx, actor, new, request_id=call.request_id)
    return _with_secret(row, secret, location=f"/v1/tokens/{row.id}")


@operation("GET", "/v1/tokens/current", id="tokens.current", needs="any", answers=Token)
async def get_current_token(read: Read, actor: Actor) -> Answer:
    """Get the token that you use."""
    return _answer(await _own(read, actor))


@operation("GET", _TOKEN, id="tokens.get", needs=Permission.TOKENS_READ, answers=Token)
async def get_token(access: TokenAccess) -> Answer:
    """Get a token, without its secret."""
    return _answer(access.token)


@operation(
    "PATCH",
    _TOKEN,
    id="tokens.update",
    needs=Permission.TOKENS_WRITE,
    answers=Token,
    errors=[InvalidState, PreconditionFailed],
    example={"name": "release bot"},
)
async def update_token(tx: Tx, call: Call, access: TokenAccess, data: TokenPatch) -> Answer:
    """Change a token's name or addresses, or take scopes from it."""
    return _answer(
        await actions.update_token(
            tx, access.actor, access.token.id, data, if_match=call.if_match, request_id=call.request_id
        )
    )


@operation("DELETE", _TOKEN, id="tokens.delete", needs=Permission.TOKENS_WRITE, status=204, errors=[PreconditionFailed])
async def delete_token(tx: Tx, call: Call, access: TokenAccess) -> None:
    """Revoke a token; it stays visible as revoked."""
    await actions.revoke_token(tx, access.actor, access.token.id, if_match=call.if_match, request_id=call.request_id)


@operation(
    "POST",
    "/v1/tokens/{id}/rotate",
    id="tokens.rotate",
    needs=Permission.TOKENS_WRITE,
    answers=TokenWithSecret,
    errors=[InvalidState, SecretNotReplayable],
    example={"overlapSeconds": 3600},
)
async def rotate_token(tx: Tx, call: Call, access: TokenAccess, data: RotateInput) -> Answer:
    """Give a token a new secret; the one before works for `overlapSeconds` more."""
    row, secret = await actions.rotate_token(
        tx, access.actor, access.token.id, overlap_seconds=data.overlap_seconds, request_id=call.request_id
    )
    return _with_secret(row, secret)


@operation(
    "POST",
    "/v1/tokens/report",
    id="tokens.report",
    needs="public",
    replayable=False,
    example={
        "reports": [
            {
                "token": "cygp_0000000000000000000000000000002DAwn2",
                "type": "cygni_token",
                "url": "https://git.example.com/acme/shop/blob/main/deploy.sh",
                "source": "content",
            }
        ]
    },
)
async def report_tokens(tx: Tx, call: Call, data: LeakReport) -> LeakAnswer:
    """Report tokens that were found in public: whichever are tokens here are revoked at once.

    Whoever has a token may end it, so nobody is asked who they are; the answer is the same whatever was found."""
    await leaks.revoke(tx, call.actor, data.reports, request_id=call.request_id)
    return LeakAnswer(received=len(data.reports))


async def _project(read: Read, actor: Actor, reference: str, environment: str | None) -> ProjectRow:
    if environment is None:
        return (await project_access(read, actor, reference, Permission.TOKENS_WRITE)).project
    return (await environment_access(read, actor, reference, environment, Permission.TOKENS_WRITE)).project


async def _own(read: Read, actor: Actor) -> TokenRow:
    assert actor.token_id is not None
    row = await queries.token(read, actor.token_id)
    assert row is not None
    return row


def _shown(row: TokenRow) -> Token:
    return queries.shown(row, clock.now())


def _answer(row: TokenRow) -> Answer:
    return Answer(data=_shown(row), version=row.version)


def _with_secret(row: TokenRow, secret: str, *, location: str | None = None) -> Answer:
    return Answer(
        data=queries.shown_with_secret(row, secret, clock.now()),
        version=row.version,
        location=location,
        has_secret=True,
    )
