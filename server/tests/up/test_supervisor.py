"""The supervisor on real processes: start, keep, hand over, stop. API and worker are stand-ins of a few lines."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cygnid.core.postgres.child import exited
from cygnid.sandbox.identity import start_ticks
from tests.up.harness import SECONDS, Cygnid, free_port

ROOT = os.geteuid() == 0


@pytest.fixture
def cygnid(open_folder: Path) -> Iterator[Cygnid]:
    made = Cygnid(open_folder / "data", free_port())
    yield made
    made.clean()


async def ended(*pids: int | None) -> None:
    for pid in pids:
        if pid is not None:
            await asyncio.wait_for(exited(pid), SECONDS)


def running(pids: dict[str, int | None]) -> list[str]:
    """Their names; a process that has ended but is not reaped by the machine's init yet does not run."""
    return [name for name, pid in pids.items() if pid and start_ticks(pid) is not None]


async def until_restarted(cygnid: Cygnid, pid: int) -> int:
    """The pid of the API that answers after this one; requests wait in the socket meanwhile."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                found = (await asyncio.to_thread(cygnid.get, "/v1/health"))["pid"]
            except (OSError, http.client.HTTPException):
                continue  # the one that was killed had it already
            if found != pid:
                return found


def test_up_says_where_everything_is(cygnid: Cygnid) -> None:
    summary = cygnid.up()
    assert summary["apiUrl"] == f"http://127.0.0.1:{cygnid.port}/v1"
    assert summary["appsUrl"] == f"http://{{host}}.localhost:{cygnid.port}"
    assert summary["token"].startswith("cygp_")
    assert summary["teamId"].startswith("team_")
    assert summary["dataDir"] == str(cygnid.data)
    assert summary["started"] is True
    assert running(summary["pids"]) == ["supervisor", "postgres", "api", "worker"]
    assert cygnid.get("/v1/health")["pid"] == summary["pids"]["api"]


def test_up_again_finds_what_runs_and_shows_no_token(cygnid: Cygnid) -> None:
    first = cygnid.up()
    again = cygnid.up()
    assert again == {**first, "token": None, "setupCode": None, "started": False}


def test_people_are_told_in_words(cygnid: Cygnid) -> None:
    said = cygnid.run("up", "--detach", "--port", str(cygnid.port))
    assert "Cygni is up." in said.stdout
    assert f"http://127.0.0.1:{cygnid.port}/v1" in said.stdout
    assert "cygp_" in said.stdout
    assert "Starting the database" in said.stderr


@pytest.mark.skipif(not ROOT, reason="only root can hold them apart")
def test_as_root_the_api_and_the_database_run_as_the_installations_user(cygnid: Cygnid) -> None:
    pids = cygnid.up()["pids"]
    base = json.loads((cygnid.data / "installation.json").read_text())["uidBase"]
    assert Path(f"/proc/{pids['postgres']}").stat().st_uid == base
    assert cygnid.get("/v1/health")["uid"] == base
    assert Path(f"/proc/{pids['worker']}").stat().st_uid == 0
    assert (cygnid.data / "keys/secret.key").stat().st_uid == base
    assert (cygnid.data / "keys/secret.key").stat().st_mode & 0o777 == 0o600
    assert cygnid.data.stat().st_mode & 0o777 == 0o711


async def test_down_stops_everything(cygnid: Cygnid) -> None:
    pids = cygnid.up()["pids"]
    cygnid.run("down")
    assert running(pids) == []
    assert "database system is shut down" in (cygnid.data / "postgres/log").read_text()
    assert "does not run" in cygnid.run("down").stderr


async def test_nothing_outlives_a_killed_supervisor(cygnid: Cygnid) -> None:
    pids = cygnid.up()["pids"]
    os.kill(pids["supervisor"], signal.SIGKILL)
    await ended(*pids.values())
    assert cygnid.up()["token"] is None


async def test_what_ends_is_started_again(cygnid: Cygnid) -> None:
    pids = cygnid.up()["pids"]
    os.kill(pids["api"], signal.SIGKILL)
    await until_restarted(cygnid, pids["api"])
    for name in ("postgres", "worker"):
        os.kill(pids[name], signal.SIGKILL)
        await ended(pids[name])
    async with asyncio.timeout(SECONDS):
        while True:
            now = (await asyncio.to_thread(cygnid.up))["pids"]
            if all(now[name] not in {None, pids[name]} for name in ("postgres", "worker")):
                break
    assert now["supervisor"] == pids["supervisor"]


async def test_another_build_takes_over_in_place(cygnid: Cygnid) -> None:
    first = cygnid.up()
    cygnid.build = "two"
    second = cygnid.up()
    assert second["started"] is True
    assert second["token"] is None
    assert second["build"] == "two"
    assert second["pids"]["supervisor"] == first["pids"]["supervisor"]
    assert second["pids"]["postgres"] == first["pids"]["postgres"]
    assert second["pids"]["api"] != first["pids"]["api"]
    assert second["appsUrl"] == first["appsUrl"]
    await ended(first["pids"]["api"], first["pids"]["worker"])
    assert cygnid.get("/v1/health")["build"] == "two"
    cygnid.run("down")
    assert running(second["pids"]) == []


async def test_a_hand_over_fails_no_request(cygnid: Cygnid) -> None:
    cygnid.up()
    builds: set[str] = set()
    stop = threading.Event()

    def ask() -> int:
        count = 0
        while not stop.is_set():
            builds.add(cygnid.get("/v1/health")["build"])
            count += 1
        return count

    asking = [asyncio.create_task(asyncio.to_thread(ask)) for _ in range(2)]
    slow = asyncio.create_task(asyncio.to_thread(cygnid.get, "/v1/slow"))
    cygnid.build = "two"
    await asyncio.to_thread(cygnid.up)
    assert (await slow)["build"] in {"one", "two"}
    async with asyncio.timeout(SECONDS):
        while "two" not in builds:
            await asyncio.sleep(0.01)
    stop.set()
    assert all(await asyncio.gather(*asking))
    assert builds == {"one", "two"}


async def test_open_streams_are_told_to_end(cygnid: Cygnid) -> None:
    cygnid.up()
    stream = http.client.HTTPConnection("127.0.0.1", cygnid.port, timeout=SECONDS)
    stream.request("GET", "/v1/stream")
    answer = stream.getresponse()
    assert answer.readline() == b": hello\n"
    down = asyncio.create_task(asyncio.to_thread(cygnid.run, "down"))
    assert b"event: end" in await asyncio.to_thread(answer.read)
    await down
    stream.close()


async def test_a_build_that_does_not_start_leaves_the_running_one(cygnid: Cygnid) -> None:
    first = cygnid.up()
    cygnid.build = "broken"
    tried = cygnid.run("up", check=False, STAND_IN_BROKEN="1")
    assert tried.returncode == 1
    assert "API did not start" in tried.stderr
    health = cygnid.get("/v1/health")
    assert (health["pid"], health["build"]) == (first["pids"]["api"], "one")
    assert running(first["pids"]) == ["supervisor", "postgres", "api", "worker"]
    cygnid.build = "three"
    assert cygnid.up()["build"] == "three"


def test_a_port_that_is_taken_is_named(cygnid: Cygnid) -> None:
    cygnid.up()
    other = Cygnid(cygnid.data.parent / "other", cygnid.port)
    tried = other.run("up", "--detach", "--port", str(cygnid.port), check=False)
    assert tried.returncode == 1
    assert "--port" in tried.stderr
    assert str(cygnid.port) in tried.stderr


def test_in_the_foreground_it_stays_and_ends_by_interrupt(cygnid: Cygnid) -> None:
    process = subprocess.Popen(
        cygnid.argv("up", "--json", "--port", str(cygnid.port)), env=cygnid.env(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    summary = json.loads(process.stdout.readline())
    assert summary["pids"]["supervisor"] == process.pid
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 0
    process.stdout.close()
    assert running(summary["pids"]) == []
