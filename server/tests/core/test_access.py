"""A deploy token is held to its project and environment by the one check that every noun goes through."""

import pytest

from cygnid.core import db
from cygnid.core.access import Permission, team_access
from cygnid.core.actors import Actor
from cygnid.core.db import Read
from cygnid.core.errors import Forbidden, InsufficientScope, NotFound
from cygnid.resources.teams.access import chosen_team, teams_with
from tests.make.people import pool_of

NEEDS = Permission.ENV_READ


def bot(environment: str | None = None) -> Actor:
    return Actor(
        type="token", id="tok_1", name="ci", token_id="tok_1", team_id="team_a", kind="deploy",
        scopes=frozenset(["env:read"]), project_id="proj_a", environment=environment,
    )  # fmt: skip


@pytest.fixture
async def read(database_url: str):
    async with pool_of(database_url) as pool, db.read(pool) as made:
        yield made


async def test_it_acts_in_its_project(read: Read):
    assert (await team_access(read, bot(), "team_a", NEEDS, project_id="proj_a")).team_id == "team_a"
    await team_access(read, bot(), "team_a", NEEDS, project_id="proj_a", environment="staging")
    await team_access(read, bot("staging"), "team_a", NEEDS, project_id="proj_a", environment="staging")


@pytest.mark.parametrize(
    ("actor", "project", "environment"),
    [
        (bot(), None, None),
        (bot(), "proj_b", None),
        (bot("staging"), "proj_a", None),
        (bot("staging"), "proj_a", "production"),
    ],
)
async def test_it_acts_nowhere_else(read: Read, actor: Actor, project: str | None, environment: str | None):
    with pytest.raises(Forbidden):
        await team_access(read, actor, "team_a", NEEDS, project_id=project, environment=environment)


async def test_it_is_no_member_of_the_team(read: Read):
    for ask in (chosen_team(read, bot(), None, NEEDS), teams_with(read, bot(), None, NEEDS)):
        with pytest.raises(Forbidden):
            await ask
    with pytest.raises(NotFound):
        await team_access(read, bot(), "team_b", NEEDS, project_id="proj_a")
    with pytest.raises(InsufficientScope):
        await team_access(read, bot(), "team_a", Permission.ENV_WRITE, project_id="proj_a")
