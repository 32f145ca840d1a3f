"""On the path of `cygnid` in these tests: a tiny API and worker, so that only the supervisor is what is tested.

They answer as the real ones do: /v1/health, a slow request, an endless stream that `stopping` ends.
"""

import asyncio
import json
import os
import signal
import sys
import types


class App:
    def __init__(self, settings) -> None:
        self.stopping = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            if os.environ.get("STAND_IN_BROKEN"):
                raise RuntimeError("this build does not start")
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = {"pid": os.getpid(), "uid": os.getuid(), "build": os.environ.get("STAND_IN_BUILD")}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/v1/slow":
            await asyncio.sleep(1)
        if scope["path"] == "/v1/stream":
            await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
            await self.stopping.wait()
            await send({"type": "http.response.body", "body": b"event: end\n\n"})
            return
        await send({"type": "http.response.body", "body": json.dumps({"data": {"status": "ok", **body}}).encode()})


async def main(settings, *, build, ready) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ready()
    await stop.wait()


async def stop_apps(settings) -> None:
    pass


def module(name, **members) -> None:
    sys.modules[name] = made = types.ModuleType(name)
    for key, value in members.items():
        setattr(made, key, value)


module("cygnid.app", App=App, create_app=App)
module("cygnid.worker", main=main)
if "down" in sys.orig_argv:
    module("cygnid.adapters", stop_apps=stop_apps)
# copying half a gigabyte of toolchains for each test would only wear the disk
if "up" in sys.orig_argv:
    module("cygnid.programs", programs=lambda *_: None)
if build := os.environ.get("STAND_IN_BUILD"):
    import cygnid.up.build

    found = cygnid.up.build.Build(id=build, commit=None)
    cygnid.up.build.this_build = lambda: found
