"""How long `git push` takes until the new text is live: against `cygni deploy` of the same files, and with nothing new.

Both are commands as people type them, begin when they are started and end with the new text through the edge. Who
pushes has committed before.

    python benchmarks/git_push.py [--rounds 7] [--only static,flask]
"""

import argparse
import os
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

from harness import FLASK, STATIC, App, Installation, as_installed, folder, installation, interval, ratios, seen, write

_texts = (f"version {number}." for number in count(1))


class Side:
    """One project with a working folder, deployed in one of the two ways."""

    def __init__(self, ours: Installation, app: App, name: str, base: Path) -> None:
        self._ours, self._app, self._name = ours, app, name
        self._folder = base / name
        self._folder.mkdir()
        self._login = {
            "CYGNI_API_URL": f"http://127.0.0.1:{ours.api_port}/v1",
            "CYGNI_API_KEY": ours.token,
            "XDG_CONFIG_HOME": str(base / "config"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self._env = {**as_installed(base), **self._login}
        ours.project(name)

    def run(self, *argv: str) -> float:
        began = time.perf_counter()
        done = subprocess.run(argv, cwd=self._folder, env=self._env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{argv[:3]}: {done.stdout}{done.stderr}")
        return time.perf_counter() - began

    def change(self) -> str:
        text = next(_texts)
        write(self._app.files(text), self._folder)
        return text

    def live(self, text: str, *argv: str) -> float:
        """Seconds until the command has made the text live; it is waited for afterwards."""
        began = time.perf_counter()
        command = subprocess.Popen(
            argv, cwd=self._folder, env=self._env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        took = seen(self._ours.apps_port, self._ours.host(self._name), text, began)
        if command.wait():
            raise SystemExit(f"{argv[:3]} failed")
        return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="static,flask")
    options = parser.parse_args()
    cygni = (sys.executable, "-c", "from cygni_cli.main import main; main()")
    with installation() as ours, folder() as base:
        for app in (app for app in (STATIC, FLASK) if app.kind in options.only.split(",")):
            pushed, deployed = (Side(ours, app, f"{way}-{app.kind}", base) for way in ("push", "deploy"))
            url = f"http://x:{ours.token}@127.0.0.1:{ours.api_port}/git/push-{app.kind}.git"
            pushed.run("git", "init", "--quiet", "--initial-branch=main")
            pushed.run("git", "remote", "add", "cygni", url)
            times: dict[str, list[float]] = {"push": [], "deploy": [], "nothing": []}
            for number in range(options.rounds + 1):
                for way in ("push", "deploy") if number % 2 else ("deploy", "push"):
                    if way == "push":
                        text = pushed.change()
                        pushed.run("git", "add", "--all")
                        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
                        pushed.run("git", *who, "commit", "--quiet", "-m", text)
                        took = pushed.live(text, "git", "push", "--quiet", "cygni", "main")
                    else:
                        text = deployed.change()
                        took = deployed.live(text, *cygni, "deploy", "--project", f"deploy-{app.kind}", "--yes")
                    if number:  # the first installs
                        times[way].append(took)
                times["nothing"].append(pushed.run("git", "push", "--quiet", "cygni", "main"))
            print(f"{app.kind}")
            print(f"  git push                {interval(times['push'])} s")
            print(f"  cygni deploy            {interval(times['deploy'])} s")
            print(f"  git push ÷ cygni deploy {ratios(times['push'], times['deploy'])}")
            print(f"  nothing new             {interval(times['nothing'])} s")


if __name__ == "__main__":
    os.umask(0o022)
    main()
