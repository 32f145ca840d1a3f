"""Every route answers rightly to nobody, to an outsider, and to a member who may do everything else."""

from contextlib import suppress
from pathlib import Path

import pytest

import cygnid.app  # noqa: F401  fills the table
from cygni import APIStatusError, BadRequestError, ConflictError
from cygni._runtime.response import Response
from cygnid.core.access import ALL, Permission
from cygnid.core.http import OPERATIONS, Operation
from tests.make.api import Api
from tests.rules.world import Request, World, make_world

GUARDED = [item for item in OPERATIONS if item.needs not in ("public", "any")]
ASKING = [item for item in OPERATIONS if item.needs != "public"]
OF_THE_CALLER = {"projects.list", "projects.create", "tokens.list", "tokens.create", "uploads.create", "logs.list"}
"""They name nothing of another team by themselves: an outsider has them for their own."""


@pytest.fixture
async def world(api: Api, tmp_path: Path) -> World:
    return await make_world(api, tmp_path)


def test_every_operation_is_tried() -> None:
    unknown = World(**dict.fromkeys(World.__dataclass_fields__, "x")).known() ^ {item.id for item in OPERATIONS}
    assert not unknown, "tests/rules/world.py lacks a request for it, or has one too many"


@pytest.mark.parametrize("item", ASKING, ids=lambda item: item.id)
async def test_nobody_is_refused(api: Api, world: World, item: Operation) -> None:
    for secret in ("no-token", "cygp_0000000000000000000000000000002DAwn2"):
        error = await refused(api, secret, item, world.request(item.id))
        assert (error.status, error.code) == (401, "unauthorized")


@pytest.mark.parametrize("item", [item for item in GUARDED if item.id not in OF_THE_CALLER], ids=lambda item: item.id)
async def test_an_outsider_finds_nothing(api: Api, world: World, item: Operation) -> None:
    error = await refused(api, await api.token(api.outsider_id), item, world.request(item.id))
    assert (error.status, error.code) == (404, "not_found")


@pytest.mark.parametrize("item", GUARDED, ids=lambda item: item.id)
async def test_without_the_permission_it_is_refused(api: Api, world: World, item: Operation) -> None:
    others = sorted(ALL - {Permission(str(item.needs))})
    error = await refused(api, await api.token(api.owner_id, others), item, world.request(item.id))
    assert (error.status, error.code) == (403, "insufficient_scope")
    assert error.details["requiredScopes"] == [item.needs]


@pytest.mark.parametrize("item", GUARDED, ids=lambda item: item.id)
async def test_with_the_permission_it_is_not(api: Api, world: World, item: Operation) -> None:
    secret = await api.token(api.owner_id, [str(item.needs)])
    with suppress(BadRequestError, ConflictError):
        await call(api, secret, item, world.request(item.id))


async def refused(api: Api, secret: str, item: Operation, request: Request) -> APIStatusError:
    with pytest.raises(APIStatusError) as caught:
        await call(api, secret, item, request)
    return caught.value


async def call(api: Api, secret: str, item: Operation, request: Request) -> Response | None:
    async with api.client(secret) as client:
        if item.id.endswith((".stream", ".streamLogs")):
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
