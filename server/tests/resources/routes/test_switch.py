"""What an environment serves, as it is stored."""

import pytest

from cygnid.build.base import ProcessPlan
from cygnid.core.db import begin, read
from cygnid.resources.instances import actions as instances
from cygnid.resources.routes import actions, queries
from tests.make.api import Api
from tests.make.releases import WEB, environment_of, make_project, release_of


@pytest.mark.parametrize(
    ("plans", "kind", "url"),
    [
        ((WEB,), "release", "http://shop.localhost:8001"),
        ((ProcessPlan(type="worker", command="w"),), "release", None),
        ((), "static", "http://shop.localhost:8001"),
    ],
)
async def test_a_switch_tells_the_url_and_its_version(
    api: Api, plans: tuple[ProcessPlan, ...], kind: str, url: str | None
) -> None:
    project = await make_project(api.pool, api.team_id)
    environment = await environment_of(api.pool, project)
    async with begin(api.pool) as tx:
        release = await release_of(tx, project, environment, plans=plans, kind=kind)
        await instances.want(tx, release)
        first = await actions.switch(tx, api.settings, project, environment, release.deployment_id)
    assert (await environment_of(api.pool, project)).url == url
    async with read(api.pool) as reader:
        (row,) = await queries.routes(reader)
        assert (row.deployment_id, row.kind, row.project) == (release.deployment_id, kind, "shop")
        assert (row.web is not None) == (plans == (WEB,))
        assert await queries.confirmed(reader) == first - 1
    async with begin(api.pool) as tx:
        assert await actions.switch(tx, api.settings, project, environment, None) == first + 1
    assert (await environment_of(api.pool, project)).url is None
    async with read(api.pool) as reader:
        assert not await queries.routes(reader)
