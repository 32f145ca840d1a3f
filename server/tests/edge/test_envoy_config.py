"""The documents that Envoy reads, as they are: whoever changes one sees it here."""

import json
from pathlib import Path

import pytest

from cygnid.edge.base import App, Endpoint, Paused, Route, Static
from cygnid.edge.envoy_bootstrap import bootstrap, listener
from cygnid.edge.envoy_config import EdgeConfig, InvalidRoutes, clusters, route_table, validated
from cygnid.edge.files import files_config

RELEASES = Path("/data/artifacts")
ROUTES = [
    Route(
        name="env_app",
        hosts=("shop.localhost", "www.shop.localhost"),
        target=App(endpoints=(Endpoint(host="10.1.0.2", port=8080), Endpoint(host="10.1.0.3", port=8080))),
    ),
    Route(
        name="env_grpc",
        hosts=("grpc.localhost",),
        target=App(endpoints=(Endpoint(host="::1", port=50051),), protocol="h2c", keep_alive_seconds=9),
    ),
    Route(name="env_none", hosts=("none.localhost",), target=App(endpoints=())),
    Route(name="env_spa", hosts=("spa.localhost",), target=Static(release=RELEASES / "p/1", fallback="index.html")),
    Route(name="env_paused", hosts=("paused.localhost",), target=Paused()),
]
CONFIG = EdgeConfig(
    admin_socket=Path("/data/edge/run/envoy-1.sock"),
    cds_file=Path("/data/edge/cds.json"),
    rds_file=Path("/data/edge/rds.json"),
    lds_file=Path("/data/edge/envoy-1-lds.json"),
    access_log=Path("/data/logs/access.log"),
    listen_host="0.0.0.0",
    listen_port=8001,
    max_connections=20000,
    idle_seconds=300,
)
DOCUMENTS = {
    "clusters": lambda: clusters(ROUTES, files_socket=Path("/data/edge/files.sock")),
    "routes": lambda: route_table(ROUTES, releases=RELEASES),
    "bootstrap": lambda: bootstrap(CONFIG),
    "listener": lambda: listener(CONFIG),
    "files": lambda: files_config(socket=Path("/data/edge/files/files-1.sock"), releases=RELEASES),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_are_these(name: str) -> None:
    """After a wanted change: `python -m tests.edge.test_envoy_config` in `server/` writes them anew."""
    saved = Path(__file__).parent / "snapshots" / f"{name}.json"
    assert DOCUMENTS[name]() == json.loads(saved.read_text())


def test_valid_routes_come_back_as_they_are() -> None:
    assert validated(ROUTES, releases=RELEASES) is ROUTES


def route(**changes: object) -> Route:
    return Route(**({"name": "env_x", "hosts": ("x.localhost",), "target": Paused()} | changes))


def to(host: str, port: int = 80, **settings: object) -> App:
    return App(endpoints=(Endpoint(host=host, port=port),), **settings)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (route(name="unknown"), "reserved"),
        (route(name="files"), "reserved"),
        (route(name="a b"), "malformed"),
        (route(name="env_app"), "twice"),
        (route(hosts=()), "no host"),
        (route(hosts=("shop.localhost",)), "twice"),
        (route(hosts=("x.localhost", "x.localhost")), "twice"),
        (route(hosts=("*",)), "host name"),
        (route(hosts=("*.localhost",)), "host name"),
        (route(hosts=("X.localhost",)), "host name"),
        (route(hosts=("x.localhost.",)), "host name"),
        (route(hosts=("x.localhost:80",)), "host name"),
        (route(hosts=("x..localhost",)), "host name"),
        (route(hosts=("x.localhost\n",)), "host name"),
        (route(hosts=("x" * 64 + ".localhost",)), "host name"),
        (route(target=to("localhost")), "address"),
        (route(target=to("10.0.0.1", 0)), "address"),
        (route(target=to("10.0.0.1", 65536)), "address"),
        (route(target=to("10.0.0.1", keep_alive_seconds=0)), "keep_alive"),
        (route(target=Static(release=RELEASES, fallback=None)), "no release"),
        (route(target=Static(release=Path("/etc"), fallback=None)), "no release"),
        (route(target=Static(release=RELEASES / ".." / "etc", fallback=None)), "no release"),
        (route(target=Static(release=RELEASES / "p" / ".." / "q", fallback=None)), "no release"),
        (route(target=Static(release=RELEASES / "a%b", fallback=None)), "no release"),
        (route(target=Static(release=RELEASES / "p", fallback="../x")), "fallback"),
        (route(target=Static(release=RELEASES / "p", fallback="/etc/passwd")), "fallback"),
        (route(target=Static(release=RELEASES / "p", fallback="a\r\nb")), "fallback"),
    ],
)
def test_what_envoy_would_refuse_is_refused_before(bad: Route, complaint: str) -> None:
    with pytest.raises(InvalidRoutes, match=complaint):
        validated([*ROUTES, bad], releases=RELEASES)


if __name__ == "__main__":
    for _name, _document in DOCUMENTS.items():
        _file = Path(__file__).parent / "snapshots" / f"{_name}.json"
        _file.parent.mkdir(exist_ok=True)
        _file.write_text(json.dumps(_document(), indent=1) + "\n")
