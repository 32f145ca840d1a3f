"""Every route refuses whoever may not: by the role, by a token that ended, by one that is bound elsewhere. What is
refused changes nothing, so one world serves all of it; `permissions.tsv` is the same table for people."""

from datetime import timedelta
from pathlib import Path

import cygnid.app  # noqa: F401  fills the table
from cygni import APIStatusError
from cygnid.core import clock, db
from cygnid.core.access import ALL, ROLES
from cygnid.core.http import OPERATIONS, Operation
from tests.make.api import Api
from tests.make.people import make_user
from tests.rules.test_unauthorized import call
from tests.rules.world import World, make_world

WITH_TOKEN = [item for item in OPERATIONS if item.needs not in ("public", "session")]
NEEDING = [item for item in WITH_TOKEN if item.needs != "any"]
OF_ONESELF = {"tokens.list", "tokens.create", "teams.create"}
"""Of a user's own, whatever their roles: nobody's permission but the token's scope is asked."""
OF_A_DEPLOY_TOKEN = {"uploads.create", "tokens.list", "tokens.create"}
"""It uploads for its own project, and sees and makes tokens of it."""


async def answer(api: Api, secret: str, item: Operation, world: World) -> tuple[int, str]:
    try:
        await call(api, secret, item, world.request(item.id))
    except APIStatusError as error:
        return error.status, error.code
    return 200, "allowed"


async def test_by_role(api: Api, tmp_path: Path) -> None:
    world = await make_world(api, tmp_path)
    wrong: list[str] = []
    for role, allowed in ROLES.items():
        async with db.begin(api.pool) as tx:
            user = await make_user(tx, f"a-{role}", **{api.team_id: role})
        secret = await api.token(user)
        for item in NEEDING:
            if item.needs in allowed or item.id in OF_ONESELF:
                continue
            if (got := await answer(api, secret, item, world)) != (403, "insufficient_scope"):
                wrong.append(f"{role} {item.id}: {got}")
    assert not wrong


async def test_by_token(api: Api, tmp_path: Path) -> None:
    world = await make_world(api, tmp_path)
    expired, revoked = await api.token(api.owner_id), await api.token(api.owner_id)
    past = clock.now() - timedelta(seconds=1)
    await api.pool.execute("UPDATE tokens SET expires_at = $2 WHERE secret_hash = sha256($1)", expired.encode(), past)
    await api.pool.execute("UPDATE tokens SET revoked_at = $2 WHERE secret_hash = sha256($1)", revoked.encode(), past)
    async with await api.owner() as owner:
        made = await owner.request("POST", "/projects", json={"name": "elsewhere", "teamId": api.team_id})
    bound = await api.token(project_id=made.data["id"], scopes=sorted(ALL))
    wrong: list[str] = []
    for item in WITH_TOKEN:
        for secret, expected in ((expired, (401, "token_expired")), (revoked, (401, "token_revoked"))):
            if (got := await answer(api, secret, item, world)) != expected:
                wrong.append(f"{item.id}: {got}, not {expected}")
    for item in NEEDING:
        got = await answer(api, bound, item, world)
        if got[0] not in (403, 404) and item.id not in OF_A_DEPLOY_TOKEN:
            wrong.append(f"a deploy token of another project, {item.id}: {got}")
    assert not wrong
