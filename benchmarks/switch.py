"""What visitors notice of a deploy: 20 clients with kept connections ask on and on while new versions go live.

Prints failed requests, and connections that were closed under a client; every peer that reloads its front door closes
all 20 at each switch.

    python benchmarks/switch.py [--requests 10000] [--deploys 3] [--only flask,node,static]
"""

import argparse
import asyncio

import uvloop

from harness import FLASK, NODE, STATIC, App, Installation, archive, installation
from load import Seen, watch

CLIENTS = 20
PER_SECOND = 40
"""Of each client: together 800 requests a second, so that an app on two cores has air to start beside it."""
QUIET_SECONDS = 2
"""Before the first deploy and after the last switch."""


async def watched(ours: Installation, app: App, project: str, deploys: int, requests: int) -> Seen:
    """What the clients saw during so many deploys, and until there are enough requests."""
    request = f"GET / HTTP/1.1\r\nHost: {ours.host(f'bench-{app.kind}')}\r\n\r\n".encode()
    until, began = asyncio.Event(), asyncio.get_running_loop().time()
    watching = asyncio.create_task(watch(ours.apps_port, request, until, clients=CLIENTS, per_second=PER_SECOND))
    await asyncio.sleep(QUIET_SECONDS)
    for number in range(deploys):
        await asyncio.to_thread(deployed, ours, project, archive(app.files(f"watched {number}.")))
    # what the old version had under way ends within this time too
    wanted = requests / (CLIENTS * PER_SECOND)
    await asyncio.sleep(max(QUIET_SECONDS, wanted - (asyncio.get_running_loop().time() - began)))
    until.set()
    return await watching


def deployed(ours: Installation, project: str, packed: bytes) -> None:
    ours.ended(ours.deploy(project, packed))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=10_000)
    options.add_argument("--deploys", type=int, default=3)
    options.add_argument("--only", default="flask,node,static")
    chosen = options.parse_args()
    with installation() as ours:
        for app in (FLASK, NODE, STATIC):
            if app.kind not in chosen.only.split(","):
                continue
            project = ours.project(f"bench-{app.kind}")
            ours.ended(ours.deploy(project, archive(app.files("before."))))
            # a fifth more, since a busy machine keeps the pace not quite
            saw = uvloop.run(watched(ours, app, project, chosen.deploys, chosen.requests * 6 // 5))
            if len(saw.bodies) != chosen.deploys + 1:
                raise SystemExit(f"{app.kind}: {len(saw.bodies)} versions were seen, not {chosen.deploys + 1}")
            print(
                f"{app.kind}: {chosen.deploys} switches, {saw.failed} failed of {saw.answered} requests, "
                f"{saw.closed} of {CLIENTS} connections closed, slowest answer {saw.slowest * 1000:.0f} ms"
            )


if __name__ == "__main__":
    main()
