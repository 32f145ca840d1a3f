"""The first deploy of a project whose npm packages another project has downloaded, against the same without that.

From the first byte of POST /v1/uploads to the app's answer through the edge. Each round makes two new projects of the
same app on one installation: one as it is, and one whose .npmrc names the registry that npm asks anyway, so that its
downloads are not shared. The very first, which fills the shared downloads, is not measured.

    python benchmarks/first_deploy.py [--rounds 5] [--packages express@4,webpack@5]
"""

import argparse
import json
import statistics
import subprocess
import time
from itertools import count

from harness import Installation, archive, folder, installation, interval, ratios, seen

_SERVER = 'require("node:http").createServer((_, out) => out.end("TEXT")).listen(process.env.PORT, "0.0.0.0");\n'
_numbers = count(1)


def _files(packages: list[str]) -> dict[str, str]:
    """An app with these packages and the lock that npm makes for them."""
    wanted = dict(package.rsplit("@", 1) for package in packages)
    package = json.dumps({"name": "hello", "scripts": {"start": "node server.js"}, "dependencies": wanted})
    with folder() as base:
        (base / "package.json").write_text(package)
        subprocess.run(["npm", "install", "--package-lock-only", "--silent"], cwd=base, check=True)
        lock = (base / "package-lock.json").read_text()
    return {"package.json": package, "package-lock.json": lock}


def _registry() -> str:
    said = subprocess.run(["npm", "config", "get", "registry"], check=True, stdout=subprocess.PIPE, text=True)
    return said.stdout.strip()


def _deploy(ours: Installation, files: dict[str, str]) -> float:
    name, text = f"bench-{next(_numbers)}", f"version {next(_numbers)}."
    packed = archive({**files, "server.js": _SERVER.replace("TEXT", text)})
    project = ours.project(name)
    began = time.perf_counter()
    deployment = ours.deploy(project, packed)
    took = seen(ours.apps_port, ours.host(name), text, began, hope=lambda: ours.going(deployment))
    ours.ended(deployment)
    return took


def main() -> None:
    assert __doc__ is not None
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--packages", default="express@4,webpack@5", help="npm's, with versions or ranges")
    chosen = options.parse_args()
    files = _files(chosen.packages.split(","))
    alone = {**files, ".npmrc": f"registry={_registry()}\n"}
    shared_took, alone_took = list[float](), list[float]()
    with installation() as ours:
        _deploy(ours, files)
        for number in range(chosen.rounds):
            for_both = [(files, shared_took), (alone, alone_took)]
            for what, took in for_both if number % 2 else reversed(for_both):
                took.append(_deploy(ours, what))
    size = len(json.loads(files["package-lock.json"])["packages"]) - 1
    print(f"first deploy, {size} packages of npm")
    print(f"  shared downloads   {interval(shared_took)} s")
    print(f"  without            {interval(alone_took)} s")
    print(
        f"  ratio              {ratios(shared_took, alone_took)}; medians {statistics.median(shared_took):.2f} s"
        f" to {statistics.median(alone_took):.2f} s"
    )


if __name__ == "__main__":
    main()
