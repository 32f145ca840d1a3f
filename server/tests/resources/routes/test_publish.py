"""The edge is given every route, and says when it serves them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from cygnid.build.base import ProcessPlan
from cygnid.core import db
from cygnid.core.changes import Wake
from cygnid.core.db import begin
from cygnid.edge.base import App, EdgeUnavailable, Endpoint, Paused, Route, StaleLeader, Static
from cygnid.resources.instances import actions as instances
from cygnid.resources.projects import queries as projects
from cygnid.resources.routes import queries
from cygnid.resources.routes.tasks import publish_routes
from tests.fakes.edge import FakeEdge
from tests.make.stage import LIMIT, Place, Stage

WEB = ProcessPlan(type="web", command="serve", instances=2, protocol="h2c", keep_alive_seconds=7)


class CountingEdge(FakeEdge):
    applied = 0

    async def apply(self, routes: Sequence[Route], *, version: int, term: int) -> None:
        self.applied += 1
        await super().apply(routes, version=version, term=term)


async def placed(stage: Stage, ids: Sequence[str], status: str = "running", *, first_port: int = 5000) -> None:
    for number, each in enumerate(ids):
        await stage.execute(
            "UPDATE instances SET host = '127.0.0.1', port = $2, status = $3, started_at = now() WHERE id = $1",
            each,
            first_port + number,
            status,
        )


async def confirmed(stage: Stage) -> int:
    async with db.read(stage.api.pool) as reader:
        return await queries.confirmed(reader)


def ports(stage: Stage) -> list[int]:
    (route,) = stage.edge.routes
    assert isinstance(route.target, App)
    return [endpoint.port for endpoint in route.target.endpoints]


async def test_an_app_is_routed_to_its_healthy_instances(stage: Stage) -> None:
    place = await stage.project()
    _, ids = await place.live(WEB, ProcessPlan(type="worker", command="w"), path="/nowhere")
    rows = await stage.rows()
    await placed(stage, [each for each in ids if rows[each].process == "web"])
    await publish_routes(stage.backends)
    assert stage.edge.routes == (
        Route(
            name=place.environment.id,
            hosts=("shop.localhost",),
            target=App(
                endpoints=(Endpoint(host="127.0.0.1", port=5000), Endpoint(host="127.0.0.1", port=5001)),
                protocol="h2c",
                keep_alive_seconds=7,
            ),
        ),
    )


async def test_a_switch_is_confirmed_and_told(stage: Stage) -> None:
    place = await stage.project()
    release = await place.release(WEB, path="/nowhere")
    await placed(stage, await place.want(release))
    version = await place.switch(release)
    assert await confirmed(stage) == version - 1
    with stage.backends.wakeups.subscribe([Wake.PUBLISHED]) as told:
        told.clear()
        async with stage.leading(publish_routes), asyncio.timeout(LIMIT):
            while await confirmed(stage) < version:
                await told.wait()
                told.clear()
    assert (await stage.edge.status()).version == version


async def test_those_on_trial_are_routed_as_soon_as_it_is_switched(stage: Stage) -> None:
    place = await stage.project()
    old, old_ids = await place.live(WEB, path="/nowhere")
    new = await place.release(WEB, path="/nowhere")
    new_ids = await place.want(new)
    await placed(stage, old_ids)
    await placed(stage, new_ids, first_port=6000)
    await publish_routes(stage.backends)
    assert ports(stage) == [5000, 5001]
    await place.switch(new)
    await publish_routes(stage.backends)
    assert ports(stage) == [6000, 6001]
    await place.switch(old)
    await publish_routes(stage.backends)
    assert ports(stage) == [5000, 5001]


async def test_the_unhealthy_are_left_out_while_others_are_healthy(stage: Stage) -> None:
    place = await stage.project()
    _, ids = await place.live(WEB, path="/nowhere")
    await placed(stage, ids)
    await stage.execute("UPDATE instances SET status = 'unhealthy' WHERE id = $1", ids[0])
    await publish_routes(stage.backends)
    assert ports(stage) == [5001]
    await stage.execute("UPDATE instances SET status = 'unhealthy'")
    await publish_routes(stage.backends)
    assert ports(stage) == [5000, 5001]
    await stage.execute("UPDATE instances SET status = 'crashed', host = NULL")
    await publish_routes(stage.backends)
    assert ports(stage) == []


async def test_retired_instances_leave_and_are_told_so(stage: Stage) -> None:
    place = await stage.project()
    _, ids = await place.live(WEB, path="/nowhere")
    await placed(stage, ids)
    await (await stage.owner()).request("PATCH", "/projects/shop/processes/web", json={"instances": 1})
    stage.edge.refusal = "not now"
    with pytest.raises(EdgeUnavailable):
        await publish_routes(stage.backends)
    assert [row.left_routes_at for row in (await stage.rows()).values()] == [None, None]
    await publish_routes(stage.backends)
    rows = await stage.rows()
    assert [rows[each].left_routes_at is not None for each in ids] == [False, True]
    assert ports(stage) == [5000]


async def test_a_static_release_is_served_from_its_folder(stage: Stage) -> None:
    place = await stage.project()
    release = await place.release(kind="static", processes=[], fallback="index.html")
    await place.want(release)
    await place.switch(release)
    await publish_routes(stage.backends)
    (route,) = stage.edge.routes
    assert isinstance(route.target, Static)
    assert (str(route.target.release), route.target.fallback) == (release.path, "index.html")


async def test_without_a_web_process_there_is_no_route(stage: Stage) -> None:
    place = await stage.project()
    await place.live(ProcessPlan(type="worker", command="w"), path="/nowhere")
    await publish_routes(stage.backends)
    assert stage.edge.routes == ()


@pytest.mark.parametrize(
    ("sql", "paused"),
    [
        ("UPDATE projects SET paused_at = now() WHERE id = $1", True),
        ("UPDATE projects SET deleted_at = now(), purge_at = now() WHERE id = $1", False),
        ("UPDATE environments SET deleted_at = now(), purge_at = now() WHERE project_id = $1", False),
        ("DELETE FROM projects WHERE id = $1", False),
    ],
)
async def test_what_is_paused_says_so_and_what_is_deleted_is_unknown(stage: Stage, sql: str, *, paused: bool) -> None:
    place = await stage.project()
    _, ids = await place.live(WEB, path="/nowhere")
    await placed(stage, ids)
    await publish_routes(stage.backends)
    await stage.execute(sql, place.project.id)
    await publish_routes(stage.backends)
    assert [route.target for route in stage.edge.routes] == ([Paused()] if paused else [])


async def test_pausing_resuming_and_renaming_are_followed(stage: Stage) -> None:
    place = await stage.project()
    _, ids = await place.live(WEB, path="/nowhere")
    await placed(stage, ids)
    owner = await stage.owner()
    async with stage.leading(publish_routes):
        for method, path, body, host, kind in (
            ("POST", "/projects/shop/pause", None, "shop.localhost", Paused),
            ("POST", "/projects/shop/resume", None, "shop.localhost", App),
            ("PATCH", "/projects/shop", {"name": "store"}, "store.localhost", App),
            ("DELETE", "/projects/store?confirm=store", None, None, None),
            ("POST", f"/projects/{place.project.id}/restore", None, "store.localhost", App),
        ):
            name, _, query = path.partition("?confirm=")
            await owner.request(method, name, json=body, query={"confirm": query} if query else None)
            await _until_routed(stage, host, kind)


async def _until_routed(stage: Stage, host: str | None, kind: Any) -> None:
    async with asyncio.timeout(LIMIT):
        while [(route.hosts[0], type(route.target)) for route in stage.edge.routes] != ([(host, kind)] if host else []):
            await asyncio.sleep(0.01)


async def test_the_same_routes_are_not_applied_again(stage: Stage) -> None:
    edge = CountingEdge(releases=stage.backends.settings.home / "releases")
    await edge.supervise(term=0)
    stage.backends = replace(stage.backends, edge=edge)
    place = await stage.project()
    release, ids = await place.live(WEB, path="/nowhere")
    await placed(stage, ids)
    await publish_routes(stage.backends)
    await publish_routes(stage.backends)
    assert edge.applied == 1
    # another version, of the same routes
    await place.switch(release)
    await publish_routes(stage.backends)
    assert edge.applied == 2
    # an edge that has lost its files
    again = CountingEdge(releases=stage.backends.settings.home / "releases")
    await again.supervise(term=0)
    await publish_routes(replace(stage.backends, edge=again))
    assert again.applied == 1
    assert again.routes == edge.routes
    # once in a while, to be certain
    await stage.execute("UPDATE route_versions SET confirmed_at = now() - interval '1 hour'")
    await publish_routes(stage.backends)
    assert edge.applied == 3


async def test_an_edge_that_was_away_is_told_when_it_is_back(stage: Stage) -> None:
    place = await stage.project()
    release = await place.release(WEB, path="/nowhere")
    await placed(stage, await place.want(release))
    await stage.edge.stop()
    async with stage.leading(publish_routes):
        version = await place.switch(release)
        await _until_routed(stage, "shop.localhost", App)
        assert await confirmed(stage) < version
        await stage.edge.supervise(term=1)
        async with asyncio.timeout(LIMIT):
            while await confirmed(stage) < version:
                await asyncio.sleep(0.01)


async def test_a_stale_leader_does_nothing(stage: Stage) -> None:
    place = await stage.project()
    _, ids = await place.live(WEB, path="/nowhere")
    await placed(stage, ids)
    await stage.edge.supervise(term=2)
    with pytest.raises(StaleLeader):
        await publish_routes(stage.backends)
    assert stage.edge.routes == ()
    assert await confirmed(stage) == 0


async def test_releases_that_nobody_serves_are_not_routed(stage: Stage) -> None:
    place: Place = await stage.project()
    release = await place.release(WEB, path="/nowhere")
    await placed(stage, await place.want(release))
    await publish_routes(stage.backends)
    assert stage.edge.routes == ()
    await place.switch(release)
    await place.switch(None)
    async with begin(stage.api.pool) as tx:
        await instances.retire_release(tx, release.deployment_id)
    await publish_routes(stage.backends)
    assert stage.edge.routes == ()


async def test_urls_follow_the_address_of_the_applications(stage: Stage) -> None:
    place = await stage.project()
    await place.live(WEB, path="/nowhere")
    worker = await stage.project("robot")
    await worker.live(ProcessPlan(type="worker", command="w"), path="/nowhere")
    await publish_routes(stage.backends)
    elsewhere = msgspec.structs.replace(stage.backends.settings, apps_url="https://{host}.apps.example.com")
    await publish_routes(replace(stage.backends, settings=elsewhere))
    async with db.read(stage.api.pool) as reader:
        shop = await projects.environments(reader, place.project.id)
        robot = await projects.environments(reader, worker.project.id)
    assert [row.url for row in shop] == ["https://shop.apps.example.com"]
    assert [row.url for row in robot] == [None]
