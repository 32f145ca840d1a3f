"""What a thousand hosts cost: Cygni's edge with 1,000 apps against a plain Envoy with one static route, and against
the edge with one app.

All proxy the same app on this machine, in interleaved rounds, over kept-alive connections. Prints the median ratio of
requests per second with the range of the rounds but for the eighth at either end, and the same for the processor time
that each Envoy spent on a request, which the load client's own share of the machine does not blur. Against the plain
Envoy the edge also writes an access log, names requests, and drops what clients forge; against itself only the number
of hosts differs.

    python benchmarks/edge_hosts.py [--hosts 1000] [--rounds 9] [--seconds 2]
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import cast

import uvloop

from cygnid.edge.base import App, Endpoint, Route
from cygnid.edge.binaries import caddy_binary, envoy_binary
from cygnid.edge.envoy import EnvoyEdge
from cygnid.edge.programs import EdgeSetup
from harness import free_port, interval, ratios, until_listening

CONNECTIONS = 32
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
_TYPE = "type.googleapis.com/envoy"


class Server(asyncio.Protocol):
    """The app: an answer for each request, which come one after another on a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes) -> None:
        self.request, self.answered, self.failed = request, 0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        done = data.count(b"HTTP/1.1 ")
        self.answered += done
        self.failed += done - data.count(b"HTTP/1.1 200")
        self.transport.write(self.request)


def serve_app(port: int) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(forever())


def load(port: int, host: str, seconds: float) -> tuple[int, int]:
    """(requests answered, of these not with 200)."""

    async def run() -> tuple[int, int]:
        request = f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(lambda: Client(request), "127.0.0.1", port) for _ in range(CONNECTIONS)]
        await asyncio.sleep(seconds)
        for transport, _ in made:
            transport.abort()
        return sum(client.answered for _, client in made), sum(client.failed for _, client in made)

    return uvloop.run(run())


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def plain_config(port: int, app_port: int) -> dict[str, object]:
    def address(number: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "plain",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]}
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    cluster = {
        "name": "app",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "app",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(app_port)}}]}],
        },
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "static_resources": {
            "listeners": [{"name": "plain", "address": address(port), "filter_chains": [{"filters": filters}]}],
            "clusters": [cluster],
        }
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hosts", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--seconds", type=float, default=2)
    chosen = options.parse_args()
    base = Path(tempfile.mkdtemp(prefix="edge-hosts-"))
    base.chmod(0o711)
    app_port, plain_port = free_port(), free_port()
    app = multiprocessing.get_context("spawn").Process(target=serve_app, args=(app_port,), daemon=True)
    edges = {name: edge(base / name, number) for number, name in enumerate(("edge", "one"))}
    (base / "plain.json").write_text(json.dumps(plain_config(plain_port, app_port)))
    command = (envoy_binary(), "-c", base / "plain.json", "--concurrency", "1", "--disable-hot-restart", "-l", "error")
    plain = subprocess.Popen(command)
    try:
        app.start()
        one = asyncio.run(routed(edges["one"][0], 1, app_port))
        many = asyncio.run(routed(edges["edge"][0], chosen.hosts, app_port))
        until_listening(app_port)
        until_listening(plain_port)
        subjects = {
            "plain": (plain_port, "plain.localhost", plain.pid),
            "one": (edges["one"][1], "h0.localhost", one),
            "edge": (edges["edge"][1], f"h{chosen.hosts - 1}.localhost", many),
        }
        for port, host, _ in subjects.values():
            load(port, host, 0.5)
        rates: dict[str, list[float]] = {name: [] for name in subjects}
        costs: dict[str, list[float]] = {name: [] for name in subjects}
        for number in range(chosen.rounds):
            for name in sorted(subjects, reverse=bool(number % 2)):
                port, host, envoy = subjects[name]
                before = processor_seconds(envoy)
                answered, failed = load(port, host, chosen.seconds)
                if failed or not answered:
                    raise SystemExit(f"{name}: {failed} of {answered} requests failed")
                rates[name].append(answered / chosen.seconds)
                costs[name].append((processor_seconds(envoy) - before) / answered)
        for name, words in (("plain", "a plain Envoy with one route"), ("one", "the edge with one app")):
            print(f"edge with {chosen.hosts} hosts ÷ {words}:")
            print(f"  requests/s: {ratios(rates['edge'], rates[name])}")
            print(f"  processor time per request: {ratios(costs['edge'], costs[name])}")
        print("medians: " + ", ".join(f"{name} {statistics.median(values):.0f}/s" for name, values in rates.items()))
    finally:
        for started, _ in edges.values():
            asyncio.run(started.stop())
        plain.terminate()
        plain.wait()
        app.terminate()
        app.join()
        shutil.rmtree(base)


def edge(folder: Path, number: int) -> tuple[EnvoyEdge, int]:
    """(ours, its port)."""
    folder.mkdir(mode=0o711)
    (folder / "releases").mkdir()
    port = free_port()
    uid = 61351 + 2 * number if os.getuid() == 0 else None
    setup = EdgeSetup(
        folder=folder / "edge",
        envoy=envoy_binary(),
        file_server=caddy_binary(),
        releases=folder / "releases",
        access_log=folder / "access.log",
        apps_host="127.0.0.1",
        apps_port=port,
        uid=uid,
        files_uid=None if uid is None else uid + 1,
        concurrency=1,
    )
    return EnvoyEdge(setup), port


async def routed(ours: EnvoyEdge, hosts: int, app_port: int) -> int:
    """Start the edge with that many apps; Envoy's pid."""
    target = App(endpoints=(Endpoint(host="127.0.0.1", port=app_port),))
    routes = [Route(name=f"env_{n}", hosts=(f"h{n}.localhost",), target=target) for n in range(hosts)]
    await ours.supervise(term=1)
    began = time.perf_counter()
    await ours.apply(routes, version=1, term=1)
    print(f"{hosts} hosts applied in {(time.perf_counter() - began) * 1000:.0f} ms")
    times: list[float] = []
    for version in range(2, 11):
        keep_alive = App(endpoints=target.endpoints, keep_alive_seconds=version)
        routes[0] = Route(name="env_0", hosts=("h0.localhost",), target=keep_alive)
        began = time.perf_counter()
        await ours.apply(routes, version=version, term=1)
        times.append((time.perf_counter() - began) * 1000)
    print(f"one app of {hosts} changed in ms: {interval(times)}")
    return (await ours.status()).pids[0]


if __name__ == "__main__":
    main()
