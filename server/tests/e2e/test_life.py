"""An application from its source to its URL, through all that happens to the platform under it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import EXAMPLES, Installation, alive, edited, until

TEXT = "Hello from Cygni"


def test_an_application_outlives_the_platform(cygni: Installation, tmp_path: Path) -> None:
    said = cygni.deploy(EXAMPLES / "hello", "hello")
    assert f"http://hello.localhost:{cygni.apps_port}" in said.stdout
    assert TEXT in cygni.get("hello").body
    instances = cygni.instances("hello")

    worker = cygni.summary["pids"]["worker"]
    os.kill(worker, signal.SIGKILL)
    until(lambda: not alive(worker), "its end")
    assert cygni.get("hello").status == 200
    # a deployment waits for the worker that comes
    cygni.deploy(edited("hello", tmp_path, {"app.py": (TEXT, "Hello again")}), "hello")
    assert "Hello again" in cygni.get("hello").body
    assert not cygni.instances("hello").keys() & instances.keys()

    running = cygni.instances("hello")
    cygni.cygnid("down")
    assert "Hello again" in cygni.get("hello").body
    cygni.up()
    assert cygni.instances("hello") == running
    cygni.cygnid("down", "--apps")
    assert cygni.leftovers() == []
    with pytest.raises(ConnectionRefusedError):
        cygni.get("hello")


def test_what_breaks_says_why_and_is_rolled_back(shared: Installation, tmp_path: Path) -> None:
    first = edited("hello", tmp_path / "1", {"app.py": (TEXT, "one")})
    second = edited("hello", tmp_path / "2", {"app.py": (TEXT, "two")})
    broken = edited("hello", tmp_path / "3", {"app.py": ("import os", "import os, no_such_module")})
    shared.deploy(first, "broken")
    shared.deploy(second, "broken")
    tried = shared.deploy(broken, "broken", check=False)
    assert tried.returncode == 1
    assert "no_such_module" in tried.stdout + tried.stderr
    assert "two" in shared.get("broken").body
    shared.cygni("rollback", "--project", "broken")
    assert "one" in shared.get("broken").body


@pytest.mark.parametrize(
    ("example", "text"), [("flask", "Hello from Flask"), ("node", "Hello from Node"), ("static", "<h1>")]
)
def test_each_example_is_deployed(shared: Installation, example: str, text: str) -> None:
    shared.deploy(EXAMPLES / example, example)
    answer = shared.get(example)
    assert answer.status == 200
    assert text in answer.body


def test_after_a_reboot_all_comes_back(cygni: Installation) -> None:
    cygni.deploy(EXAMPLES / "hello", "hello")
    cygni.deploy(EXAMPLES / "static", "static")
    cygni.reboot()
    with pytest.raises(ConnectionRefusedError):
        cygni.get("hello")
    cygni.up()
    until(lambda: cygni.get("hello").status == 200, "the application")
    assert TEXT in cygni.get("hello").body
    assert cygni.get("static").status == 200


def test_another_build_takes_over_unnoticed(cygni: Installation, other_build: Callable[[], dict[str, str]]) -> None:
    cygni.deploy(EXAMPLES / "hello", "hello")
    before, running = cygni.summary, cygni.instances("hello")
    with cygni.visited("hello") as visits:
        after = cygni.up(**other_build())
    assert after["build"] != before["build"]
    for name in ("supervisor", "postgres", "edge", "files"):
        assert after["pids"][name] == before["pids"][name]
    assert {after["pids"]["api"], after["pids"]["worker"]}.isdisjoint(before["pids"].values())
    assert cygni.instances("hello") == running
    assert visits.seen
    assert visits.failed == []
    until(lambda: not alive(before["pids"]["worker"]) and not alive(before["pids"]["api"]), "the end of the old ones")
    cygni.deploy(EXAMPLES / "hello", "hello")
