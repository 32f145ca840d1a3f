import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.fake_api import STEPS, Answer, deployment, log_line, sse, step


@pytest.fixture(autouse=True)
def app(home):
    (home / "app.py").write_text("print()")


def failed():
    steps = [step("source"), step("build", message="Python: app.py"), step("release", "skipped", None)]
    steps += [step("start", "failed", 290, "web exited with code 1"), step("health", "skipped", None)]
    failure = {
        "code": "start_crash",
        "step": "start",
        "message": "The process web exited with code 1.",
        "hint": "Run the start command locally: python app.py",
        "logExcerpt": ["boom at start"],
        "docUrl": "/docs",
    }
    return deployment("failed", steps=[*steps, step("switch", "skipped", None)], failure=failure, url=None)


def test_it_tells_its_story_and_ends_with_the_url(cygni, api):
    steps = [step("source", milliseconds=350), step("build", milliseconds=2560, message="Python: app.py")]
    steps += [step("release", "skipped", None), step("start"), step("health"), step("switch")]
    api.on("GET", "/deployments/dep_1", deployment(steps=steps))
    ran = cygni("deploy", "--project", "shop", "--message", "New", "--strategy", "recreate", "--clear-cache")
    assert ran.code == 0
    assert ran.out == "http://shop.localhost:8001\n"
    told = [line.split(maxsplit=1)[1] for line in ran.err.splitlines()]
    assert told[0] == "shop · production (--project)"
    assert told[1].startswith("✓ Upload")
    assert told[2:] == [
        "| Installing",
        "✓ Build       2.9 s  Python: app.py",
        "- Release            skipped",
        "✓ Live        1.5 s",
    ]
    assert api.sent("POST", "/deployments")[0].json == {
        "projectId": "proj_1",
        "environment": "production",
        "uploadId": "upl_1",
        "message": "New",
        "strategy": "recreate",
        "clearCache": True,
    }
    assert '"name": "cli"' in api.requests[0].headers["x-cygni-client"]


def test_phases_are_told_as_they_end(cygni, api):
    building = [step("source"), step("build", "running", None), *(step(name, "pending", None) for name in STEPS[2:])]
    releasing = [step("source"), step("build"), step("release", "running", None)]
    releasing += [step(name, "pending", None) for name in STEPS[3:]]
    states = [deployment("building", steps=building), deployment("releasing", steps=releasing), deployment()]
    api.on("GET", "/deployments/dep_1", lambda _: states.pop(0) if len(states) > 1 else states[0])
    lines = sse(log_line("compiling"), log_line("migrating", "log_2", step="release"))
    api.on("GET", "/deployments/dep_1/logs/stream", Answer(stream=lines))
    ran = cygni("deploy", "--project", "shop")
    told = [line.split()[1:3] for line in ran.err.splitlines()]
    assert told[2:] == [["|", "compiling"], ["✓", "Build"], ["|", "migrating"], ["✓", "Release"], ["✓", "Live"]]


def test_a_failure_shows_the_last_lines_and_four_more(cygni, api):
    api.on("GET", "/deployments/dep_1", failed())
    ran = cygni("deploy", "--project", "shop")
    assert ran.code == 1
    assert ran.out == ""
    assert "✗ Live        0.3 s  start" in ran.err
    assert [line.removeprefix("| ") for line in ran.err.splitlines()][-5:] == [
        next(line for line in ran.err.splitlines() if "boom at start" in line),
        "Error    The process web exited with code 1.",
        "Why      start_crash, in the step start of dep_1",
        "Do       Run the start command locally: python app.py",
        "Request  req_1",
    ]


def test_json_is_the_final_deployment_also_when_it_failed(cygni, api):
    assert cygni("deploy", "--project", "shop", "--json").json == deployment()
    api.on("GET", "/deployments/dep_1", failed())
    ran = cygni("deploy", "--project", "shop", "--json")
    assert (ran.code, ran.json) == (1, failed())


@pytest.mark.parametrize("status", ["canceled", "superseded"])
def test_what_did_not_become_live_is_a_failure(cygni, api, status):
    api.on("GET", "/deployments/dep_1", deployment(status))
    ran = cygni("deploy", "--project", "shop")
    assert ran.code == 1
    assert "cygni deployments show dep_1" in ran.err


def test_a_waiting_one_says_who_holds_the_environment(cygni, api):
    api.on("POST", "/deployments", Answer(deployment("queued", blockedById="dep_0"), 201))
    api.on("GET", "/deployments/dep_0", deployment("building", id="dep_0"))
    ran = cygni("deploy", "--project", "shop")
    assert "Waiting: production is held by dep_0, building, since" in ran.err


def test_a_waiting_one_says_how_many_builds_come_before(cygni, api):
    later = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    waiting = deployment("queued", queuePosition=2, estimatedStartAt=later)
    api.on("POST", "/deployments", Answer(waiting, 201))
    ran = cygni("deploy", "--project", "shop")
    assert "Waiting: 2 builds before this one, about 10 min." in ran.err


def test_one_that_begins_at_once_does_not_wait(cygni, api):
    begins = deployment("queued", queuePosition=1)
    api.on("POST", "/deployments", Answer({**begins, "estimatedStartAt": begins["createdAt"]}, 201))
    assert "Waiting" not in cygni("deploy", "--project", "shop").err


def test_a_server_that_stops_is_followed_on(cygni, api):
    parts = [
        sse(log_line("one"), end={"reason": "shutdown", "status": None, "exitCode": None}),
        sse(log_line("two", "log_2")),
    ]
    api.on("GET", "/deployments/dep_1/logs/stream", lambda _: Answer(stream=parts.pop(0)))
    ran = cygni("deployments", "watch", "dep_1")
    assert ran.code == 0
    api.on("GET", "/deployments/dep_1", lambda _: deployment("building") if parts else deployment())
    parts[:] = [
        sse(log_line("one"), end={"reason": "tooSlow", "status": None, "exitCode": None}),
        sse(log_line("two", "log_2")),
    ]
    ran = cygni("deployments", "watch", "dep_1")
    assert ran.code == 0
    assert [line.rsplit(maxsplit=1)[1] for line in ran.err.splitlines() if "|" in line] == ["one", "two"]
    streams = api.sent("GET", "/deployments/dep_1/logs/stream")
    assert [seen.headers.get("last-event-id") for seen in streams] == [None, "log_1"]


def test_what_failed_is_told_once_although_an_excerpt_has_no_empty_lines(cygni, api):
    lines = [log_line("one", "log_1"), log_line("", "log_2"), log_line("two", "log_3")]
    api.on("GET", "/deployments/dep_1/logs/stream", Answer(stream=sse(*lines)))
    ending = failed()
    ending["failure"]["logExcerpt"] = ["one", "two"]
    api.on("GET", "/deployments/dep_1", ending)
    ran = cygni("deploy", "--project", "shop")
    assert ran.code == 1
    assert [line.split("|")[1].strip() for line in ran.err.splitlines() if "|" in line] == ["one", "", "two"]


def test_what_the_platform_remarks_comes_after_the_build(cygni, api):
    remark = log_line("The process web exited with code 1.", "log_2", source="system", step=None)
    api.on("GET", "/deployments/dep_1/logs/stream", Answer(stream=sse(log_line("Installing"), remark)))
    api.on("GET", "/deployments/dep_1", failed())
    told = cygni("deploy", "--project", "shop").err
    build, remarked = told.index("✓ Build"), told.index("| The process web exited")
    assert build < remarked


def test_detached_it_says_how_to_watch(cygni, api):
    ran = cygni("deploy", "--project", "shop", "--detach")
    assert ran.code == 0
    assert ran.out == "dep_1\n"
    assert "cygni deployments watch dep_1" in ran.err
    assert api.sent("GET", "/deployments/dep_1/logs/stream") == []


def test_a_project_that_is_not_there_is_made(cygni, api, home, monkeypatch):
    api.on("GET", "/projects/fresh", Answer(status=404, error={"code": "not_found", "message": "None."}))
    (home / "cygni.toml").write_text('project = "fresh"\nteam = "acme"\n')
    ran = cygni("deploy")
    assert ran.code == 0
    assert api.sent("POST", "/projects")[0].json == {"name": "fresh", "teamId": "team_1"}
    assert "Made the project fresh." in ran.err


def test_a_person_is_asked_first(cygni, api, monkeypatch):
    api.on("GET", "/projects/fresh", Answer(status=404, error={"code": "not_found", "message": "None."}))
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    ran = cygni("deploy", "--project", "fresh", interactive=True)
    assert ran.code == 1
    assert api.sent("POST", "/projects") == []
    assert cygni("deploy", "--project", "fresh", "--yes", interactive=True).code == 0


def test_nothing_to_deploy(cygni, home):
    (home / "app.py").unlink()
    ran = cygni("deploy", "--project", "shop", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "not_packable")


def test_rollback_to_the_one_before_and_to_one_by_name(cygni, api):
    warning = {"code": "env_differs", "message": "LOG_LEVEL was changed since.", "path": "env.LOG_LEVEL"}
    answer = Answer(deployment("queued"), 201, meta={"warnings": [warning]})
    api.on("POST", "/projects/shop/rollback", answer)
    ran = cygni("rollback", "--project", "shop")
    assert (ran.code, ran.out) == (0, "http://shop.localhost:8001\n")
    assert "Note: LOG_LEVEL was changed since." in ran.err
    assert api.sent("POST", "/projects/shop/rollback")[0].json == {"restoreEnv": True, "environment": "production"}
    assert cygni("rollback", "dep_1", "--keep-env").code == 0
    assert api.sent("POST", "/deployments/dep_1/rollback")[0].json == {"restoreEnv": False}


def test_ctrl_c_lets_go_and_says_how_to_watch_or_cancel(cygni, api):
    api.on("GET", "/deployments/dep_1", deployment("building", url=None))
    held = Answer(stream=b"id: log_1\nevent: log\n: waiting\n", hold=True)
    api.on("GET", "/deployments/dep_1/logs/stream", held)
    process = subprocess.Popen(
        [sys.executable, "-c", "from cygni_cli.main import main; main()", "deployments", "watch", "dep_1", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
    )
    try:
        assert api.streaming.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert b'"status": "building"' in out
    assert b"cygni deployments watch dep_1" in err
    assert b"cygni deployments cancel dep_1" in err
    assert b"Traceback" not in err
    assert api.sent("POST", ".*/cancel") == []
