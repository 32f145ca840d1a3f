"""Every body in the documentation is one that works: it is sent as it stands, but for the ids."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import cygnid.app  # noqa: F401  fills the table
from cygni import AuthenticationError, BadRequestError, ConflictError, NotFoundError
from cygnid.core.http import OPERATIONS, Operation
from tests.make.api import Api
from tests.rules.world import World, make_world

_ID = re.compile(r'"([a-z]+)_[0-9a-hjkmnp-tv-z]{26}"')
WITH_BODY = [item for item in OPERATIONS if item.data is not None]
BY_CODE = {"auth.confirmTwoFactor", "auth.disableTwoFactor", "auth.deviceToken", "auth.approveDevice"}
BY_CODE |= {"auth.startOidc", "auth.finishOidc"}
"""They need a code that was made before, or a provider: what is wrong with the example is that alone."""
NOT_NOW = {
    "projects.rollback",
    "projects.restart",
    "deployments.rollback",
    "deployments.promote",
    "deployments.approve",
}
"""They need a deployment that a worker has ended: 409 is their right answer here."""


def test_every_body_has_an_example() -> None:
    assert not [item.id for item in WITH_BODY if item.example is None]


@pytest.mark.parametrize("item", WITH_BODY, ids=lambda item: item.id)
async def test_it_works(api: Api, tmp_path: Path, item: Operation) -> None:
    world = await make_world(api, tmp_path)
    assert item.example is not None
    body = of_this_world(dict(item.example), world)
    request = world.request(item.id)
    async with api.client(await api.session(api.owner_id)) if item.needs == "session" else await api.owner() as client:
        call = client.request(item.method, request.path, query=request.query, json=body)
        if item.id in BY_CODE:
            with pytest.raises((AuthenticationError, BadRequestError, ConflictError, NotFoundError)):
                await call
        elif item.id in NOT_NOW:
            with pytest.raises(ConflictError):
                await call
        else:
            assert (await call).status == item.status


def of_this_world(example: dict[str, Any], world: World) -> dict[str, Any]:
    ids = {
        "proj": world.project_id,
        "upl": world.upload_id,
        "dep": world.deployment_id,
        "team": world.team_id,
        "user": world.member_user_id,
    }
    text = msgspec.json.encode(example).decode()
    found: dict[str, Any] = msgspec.json.decode(_ID.sub(lambda match: f'"{ids[match[1]]}"', text))
    if "name" in found:
        # the example's own name is that of the world's project
        found["name"] = f"{found['name']}-2"
    return found
