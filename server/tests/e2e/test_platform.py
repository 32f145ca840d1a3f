"""The platform by itself: up, down, killed, twice on one machine. No application is deployed."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.e2e.harness import Installation, alive, until

Installed = Callable[..., Installation]


def test_up_returns_when_all_is_well_and_down_leaves_the_edge(installed: Installed) -> None:
    cygni = installed()
    summary = cygni.up()
    assert cygni.health() == "ok"
    assert all(summary["pids"].values())
    assert cygni.api("GET", "/health")["checks"][0]["name"] == "database"
    assert cygni.get("nobody").status == 404
    cygni.cygnid("down")
    assert cygni.health() == "refused"
    assert cygni.get("nobody").status == 404
    assert cygni.up()["pids"]["edge"] == summary["pids"]["edge"]
    cygni.cygnid("down", "--apps")
    assert cygni.leftovers() == []


def test_a_killed_worker_comes_back_and_leads(cygni: Installation) -> None:
    before = cygni.summary["pids"]
    os.kill(before["worker"], signal.SIGKILL)
    until(lambda: _heard(cygni, but=1), "another worker")
    until(lambda: cygni.health() == "ok", "health")
    now = cygni.pids()
    assert now["worker"] != before["worker"]
    assert now["edge"] == before["edge"]


def test_a_killed_edge_is_started_again(cygni: Installation) -> None:
    edge = cygni.summary["pids"]["edge"]
    os.kill(edge, signal.SIGKILL)
    until(lambda: not alive(edge), "its end")
    until(lambda: cygni.pids()["edge"] not in (None, edge), "another one")

    def answers() -> bool:
        with suppress(ConnectionError):  # it is known by its pid a moment before it listens
            return cygni.get("nobody").status == 404
        return False

    until(answers, "an answer")


def test_an_edge_whose_first_start_was_interrupted_is_kept(installed: Installed) -> None:
    """The worker died after Envoy had started and before that was remembered."""
    cygni = installed()
    edge = cygni.up()["pids"]["edge"]
    cygni.cygnid("down")
    (cygni.data / "edge" / "state.json").unlink()
    assert cygni.up()["pids"]["edge"] == edge
    assert cygni.health() == "ok"


def test_two_installations_live_side_by_side(installed: Installed) -> None:
    one, two = installed("one"), installed("two")
    one.up()
    two.up()
    assert one.summary["teamId"] != two.summary["teamId"]
    one.cygnid("down", "--apps")
    assert one.leftovers() == []
    assert two.health() == "ok"
    assert two.get("nobody").status == 404


def test_the_doctor_finds_all_well(cygni: Installation) -> None:
    checks = json.loads(cygni.cygnid("doctor", "--json", check=False).stdout)["checks"]
    named = {check["name"]: check["status"] for check in checks}
    assert {"supervisor", "api", "edge", "database", "worker", "disk", "clock", "languages", "names"} <= named.keys()
    for name in ("supervisor", "api", "edge", "database", "worker", "languages"):
        assert named[name] == "ok", checks
    assert [path.name for path in Path(cygni.data).glob("doctor-*")] == []


def _heard(cygni: Installation, *, but: int) -> bool:
    """Another worker than the first ones says that it leads."""
    log = (cygni.data / "logs" / "cygnid.log").read_text()
    return log.count("leading, term") > but
