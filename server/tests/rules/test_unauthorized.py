"""Every route answers rightly to nobody, to an outsider, to a member who may do everything else, and to one who may
do this alone: what is refused changes nothing, so one world serves the four."""

from contextlib import suppress
from pathlib import Path

import pytest

import cygnid.app  # noqa: F401  fills the table
from cygni import APIStatusError, AuthenticationError, BadRequestError, ConflictError
from cygni._runtime.response import Response
from cygnid.core.access import ALL, Permission
from cygnid.core.http import OPERATIONS, Operation
from tests.make.api import Api
from tests.rules.world import Request, World, make_world

NOBODY = ("no-token", "cygp_0000000000000000000000000000002DAwn2")
"""Malformed, and well-formed but unknown."""
OF_THE_CALLER = {
    "projects.list",
    "projects.create",
    "tokens.list",
    "tokens.create",
    "uploads.create",
    "logs.list",
    "roles.list",
    "teams.list",
    "teams.create",
}
"""They name nothing of another team by themselves: an outsider has them for their own."""


def test_every_operation_is_tried() -> None:
    unknown = World(**dict.fromkeys(World.__dataclass_fields__, "x")).known() ^ {item.id for item in OPERATIONS}
    assert not unknown, "tests/rules/world.py lacks a request for it, or has one too many"


@pytest.mark.parametrize("item", [item for item in OPERATIONS if item.needs != "public"], ids=lambda item: item.id)
async def test_who_may(api: Api, tmp_path: Path, item: Operation) -> None:
    world = await make_world(api, tmp_path)
    request = world.request(item.id)
    for secret in NOBODY:
        error = await refused(api, secret, item, request)
        assert (error.status, error.code) == (401, "unauthorized")
    if item.needs == "any":
        return
    if item.needs == "session":
        error = await refused(api, await api.token(api.owner_id), item, request)
        assert (error.status, error.code) == (403, "session_required")
        if "{id}" in item.path:
            error = await refused(api, await api.session(api.outsider_id), item, request)
            assert (error.status, error.code) == (404, "not_found")
        with suppress(AuthenticationError, BadRequestError, ConflictError):
            await call(api, await api.session(api.owner_id), item, request)
        return
    needs = Permission(str(item.needs))
    if item.id not in OF_THE_CALLER:
        error = await refused(api, await api.token(api.outsider_id), item, request)
        assert (error.status, error.code) == (404, "not_found")
    error = await refused(api, await api.token(api.owner_id, sorted(ALL - {needs})), item, request)
    assert (error.status, error.code) == (403, "insufficient_scope")
    assert error.details["requiredScopes"] == [needs]
    with suppress(BadRequestError, ConflictError):
        await call(api, await api.token(api.owner_id, [needs]), item, request)


async def refused(api: Api, secret: str, item: Operation, request: Request) -> APIStatusError:
    with pytest.raises(APIStatusError) as caught:
        await call(api, secret, item, request)
    return caught.value


async def call(api: Api, secret: str, item: Operation, request: Request) -> Response | None:
    async with api.client(secret) as client:
        if item.kind == "events":
            api.app.stopping.set()
            async with client.stream(request.path, request.query) as stream:
                async for _ in stream:
                    pass
            return None
        return await client.request(
            item.method,
            request.path,
            query=request.query,
            json=request.json,
            content=request.content,
            headers=request.headers,
        )
