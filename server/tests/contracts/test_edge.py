"""What every Edge promises, held against the real one and its fake."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import h2.connection
import pytest

from cygnid.edge.base import App, Edge, EdgeAnswer, EdgeUnavailable, Endpoint, Paused, Route, StaleLeader
from tests.edge.harness import Instance, app, free_port, staged, static
from tests.fakes.edge import FakeEdge
from tests.make.h2c import Request, serving


@dataclass
class Subject:
    edge: Edge
    releases: Path


@pytest.fixture(params=["envoy", "fake"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    """An edge that has not been started yet."""
    if request.param == "fake":
        yield Subject(FakeEdge(releases=tmp_path), tmp_path)
    else:
        async with staged(supervised=False) as stage:
            yield Subject(stage.edge, stage.setup.releases)


@pytest.fixture
async def edge(subject: Subject) -> Edge:
    await subject.edge.supervise(term=1)
    return subject.edge


async def status_of(edge: Edge, host: str, path: str = "/") -> int | None:
    return (await edge.probe(host, path)).status


async def test_a_host_reaches_its_app_and_no_other_host_does(edge: Edge) -> None:
    async with Instance("a").running() as a:
        await edge.apply([app("env_a", a.port)], version=1, term=1)
        assert await status_of(edge, "a.localhost") == 200
        assert a.served == 1
        assert await status_of(edge, "b.localhost") == 404
        assert a.served == 1


async def test_all_hosts_of_a_route_reach_it(edge: Edge) -> None:
    async with Instance("a").running() as a:
        target = App(endpoints=(Endpoint(host="127.0.0.1", port=a.port),))
        await edge.apply(
            [Route(name="env_a", hosts=("a.localhost", "www.a.localhost"), target=target)], version=1, term=1
        )
        assert [await status_of(edge, host) for host in ("a.localhost", "www.a.localhost")] == [200, 200]


@pytest.mark.parametrize("host", ["a.localhost:8443", "A.LOCALHOST", "a.localhost.", "A.localhost.:80"])
async def test_a_host_is_known_however_it_is_written(edge: Edge, host: str) -> None:
    async with Instance("a").running() as a:
        await edge.apply([app("env_a", a.port)], version=1, term=1)
        assert await status_of(edge, host) == 200


async def test_what_is_not_given_again_is_gone(edge: Edge) -> None:
    async with Instance("a").running() as a:
        await edge.apply([app("env_a", a.port), app("env_b", a.port)], version=1, term=1)
        await edge.apply([app("env_b", a.port)], version=2, term=1)
        assert await status_of(edge, "a.localhost") == 404
        assert await status_of(edge, "b.localhost") == 200
        await edge.apply([], version=3, term=1)
        assert await status_of(edge, "b.localhost") == 404


async def test_a_switch_moves_all_new_requests(edge: Edge) -> None:
    async with Instance("old").running() as old, Instance("new").running() as new:
        await edge.apply([app("env_a", old.port)], version=1, term=1)
        await edge.apply([app("env_a", new.port)], version=2, term=1)
        assert await status_of(edge, "a.localhost") == 200
        assert (old.served, new.served) == (0, 1)


async def test_paused_is_503_and_resumed_is_not(edge: Edge) -> None:
    async with Instance("a").running() as a:
        paused = Route(name="env_a", hosts=("a.localhost",), target=Paused())
        await edge.apply([paused], version=1, term=1)
        assert await status_of(edge, "a.localhost") == 503
        await edge.apply([app("env_a", a.port)], version=2, term=1)
        assert await status_of(edge, "a.localhost") == 200
        await edge.apply([paused], version=3, term=1)
        assert await status_of(edge, "a.localhost") == 503


async def test_no_instance_and_a_dead_one_are_502(edge: Edge) -> None:
    routes = [app("env_none"), app("env_dead", free_port())]
    await edge.apply(routes, version=1, term=1)
    assert await status_of(edge, "none.localhost") == 502
    assert await status_of(edge, "dead.localhost") == 502


async def test_a_living_instance_answers_for_a_dead_one(edge: Edge) -> None:
    async with Instance("a").running() as a:
        await edge.apply([app("env_a", free_port(), a.port)], version=1, term=1)
        assert {await status_of(edge, "a.localhost") for _ in range(8)} == {200}


async def test_a_grpc_server_answers_and_a_dead_one_does_not(edge: Edge) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        routes = [app("env_a", port, protocol="h2c"), app("env_dead", free_port(), protocol="h2c")]
        await edge.apply(routes, version=1, term=1)
        assert await edge.probe("a.localhost", "/", protocol="h2c") == EdgeAnswer(status=200, error=None)
        assert await edge.probe("dead.localhost", "/", protocol="h2c") == EdgeAnswer(status=502, error=None)
    finally:
        await server.stop(None)


def unavailable(connection: h2.connection.H2Connection, stream: int, _request: Request) -> None:
    connection.send_headers(stream, [(":status", "503")], end_stream=True)


async def test_an_h2c_app_that_answers_get_is_asked_no_more(edge: Edge) -> None:
    seen: list[Request] = []
    async with serving(unavailable, seen) as port:
        await edge.apply([app("env_a", port, protocol="h2c")], version=1, term=1)
        assert (await edge.probe("a.localhost", "/x", protocol="h2c")).status == 503
    assert {(request[":method"], request[":path"]) for request in seen} == {("GET", "/x")}


async def test_a_static_release_is_served(subject: Subject, edge: Edge) -> None:
    release = subject.releases / "site"
    release.mkdir()
    (release / "index.html").write_text("hello")
    await edge.apply([static("env_s", release)], version=1, term=1)
    assert await status_of(edge, "s.localhost") == 200
    assert await status_of(edge, "s.localhost", "/index.html") == 200
    assert await status_of(edge, "s.localhost", "/nothing") == 404


async def test_status_names_the_version_that_is_true(edge: Edge) -> None:
    assert (await edge.status()).version is None
    await edge.apply([app("env_a")], version=7, term=1)
    assert (await edge.status()).version == 7
    await edge.apply([app("env_a")], version=8, term=1)  # nothing to do, but confirmed
    assert (await edge.status()).version == 8


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param([app("env_a", host="x.localhost"), app("env_b", host="x.localhost")], id="a host twice"),
        pytest.param([app("env_a", host="x.localhost"), app("env_a", host="y.localhost")], id="a name twice"),
        pytest.param([app("env_a", host="X.localhost:80")], id="a host with a port"),
        pytest.param([app("env_a", 0)], id="no port"),
        pytest.param([static("env_a", Path("/etc"))], id="a release elsewhere"),
    ],
)
async def test_refused_routes_change_nothing(edge: Edge, bad: list[Route]) -> None:
    async with Instance("a").running() as a:
        await edge.apply([app("env_good", a.port, host="a.localhost")], version=1, term=1)
        with pytest.raises(EdgeUnavailable):
            await edge.apply(bad, version=2, term=1)
        assert await status_of(edge, "a.localhost") == 200
        assert (await edge.status()).version == 1


async def test_a_stale_leader_changes_nothing(edge: Edge) -> None:
    async with Instance("a").running() as a:
        await edge.apply([app("env_a", a.port)], version=5, term=4)
        with pytest.raises(StaleLeader):
            await edge.apply([], version=6, term=3)
        with pytest.raises(StaleLeader):
            await edge.supervise(term=3)
        assert await status_of(edge, "a.localhost") == 200
        assert (await edge.status()).version == 5
        await edge.apply([], version=6, term=4)
        assert await status_of(edge, "a.localhost") == 404


async def test_what_is_applied_while_nothing_runs_is_served_at_the_start(subject: Subject) -> None:
    edge = subject.edge
    async with Instance("a").running() as a:
        with pytest.raises(EdgeUnavailable, match="run"):
            await edge.apply([app("env_a", a.port)], version=1, term=1)
        assert (await edge.status()).version is None
        await edge.supervise(term=1)
        assert await status_of(edge, "a.localhost") == 200


async def test_stopped_and_started_it_serves_what_it_served(edge: Edge) -> None:
    async with Instance("a").running() as a:
        await edge.apply([app("env_a", a.port)], version=1, term=1)
        await edge.stop()
        assert not (await edge.status()).running
        answer = await edge.probe("a.localhost", "/")
        assert answer.status is None
        assert answer.error
        await edge.stop()  # idempotent
        await edge.supervise(term=1)
        assert (await edge.status()).running
        assert await status_of(edge, "a.localhost") == 200
