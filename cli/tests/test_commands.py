import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cygni_cli
from tests.fake_api import VARIABLE, Answer, log_line, page

IN_PROJECT = ("--project", "shop")


def columns(line):
    return line.split()


def test_set_sends_all_at_once(cygni, api):
    ran = cygni("env", "set", "A=1", "B=x=y", "--plain", "--target", "build", *IN_PROJECT)
    assert ran.code == 0
    assert ran.out == "1 created, 0 updated, 0 unchanged, 0 deleted\n"
    assert api.sent("PUT", "/env/bulk")[0].json == {
        "projectId": "shop",
        "environment": "production",
        "prune": False,
        "variables": [
            {"key": "A", "value": "1", "type": "plain", "target": "build"},
            {"key": "B", "value": "x=y", "type": "plain", "target": "build"},
        ],
    }


def test_a_value_is_secret_unless_said(cygni, api, home):
    cygni("env", "set", "A=1", *IN_PROJECT)
    (home / "key.pem").write_text("-----BEGIN")
    cygni("env", "set", "KEY=key.pem", "--file", *IN_PROJECT)
    first, second = (seen.json["variables"] for seen in api.sent("PUT", "/env/bulk"))
    assert first == [{"key": "A", "value": "1", "type": "secret"}]
    assert second == [{"key": "KEY", "value": "-----BEGIN", "type": "file"}]


def test_a_value_from_stdin(cygni, api, home, monkeypatch):
    (home / "value").write_text("from-stdin\n")
    with (home / "value").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert cygni("env", "set", "A", *IN_PROJECT).code == 0
    assert api.sent("PUT", "/env/bulk")[0].json["variables"][0]["value"] == "from-stdin"
    assert cygni("env", "set", "A", "B", *IN_PROJECT).code == 2


def test_a_missing_file_is_named(cygni):
    ran = cygni("env", "set", "KEY=missing.pem", "--file", *IN_PROJECT)
    assert ran.code == 1
    assert "missing.pem: No such file" in ran.err


def test_get_reveals_with_a_reason(cygni, api):
    assert cygni("env", "get", "LOG_LEVEL", *IN_PROJECT).out == "debug\n"
    assert api.sent("POST", ".*/reveal") == []
    api.on("GET", "/env", page([{**VARIABLE, "type": "secret", "value": None}]))
    assert cygni("env", "get", "API_KEY", *IN_PROJECT).code == 2
    ran = cygni("env", "get", "API_KEY", "--reason", "look", *IN_PROJECT)
    assert ran.out == "hidden-one\n"
    assert api.sent("POST", ".*/reveal")[0].json == {"reason": "look"}
    api.on("GET", "/env", page([]))
    assert "There is no variable NOPE" in cygni("env", "get", "NOPE", *IN_PROJECT).err


def test_unset_leaves_other_environments_alone(cygni, api):
    cygni("env", "unset", "LOG_LEVEL", *IN_PROJECT)
    assert len(api.sent("DELETE", "/env/env_1")) == 1
    api.on("GET", "/env", page([{**VARIABLE, "environments": ["production", "preview"]}]))
    cygni("env", "unset", "LOG_LEVEL", *IN_PROJECT)
    assert api.sent("PATCH", "/env/env_1")[0].json == {"environments": ["preview"]}
    assert len(api.sent("DELETE", "/env/env_1")) == 1


def test_import_and_what_it_could_not_read(cygni, api, home):
    (home / ".env").write_text("A=1\nnonsense\n")
    assert cygni("env", "import", ".env", "--dry-run", *IN_PROJECT).code == 0
    seen = api.sent("POST", "/env/import")[0]
    assert (seen.query, seen.json["content"]) == ({"dryRun": "true"}, "A=1\nnonsense\n")
    answer = {"created": 0, "updated": 0, "unchanged": 0, "deleted": 0}
    api.on("POST", "/env/import", {**answer, "errors": [{"line": 2, "reason": "It has no =."}]})
    ran = cygni("env", "import", ".env", *IN_PROJECT)
    assert ran.code == 1
    assert "line 2: It has no =." in ran.err


def test_env_rollback_lists_versions_or_takes_one(cygni, api):
    assert columns(cygni("env", "rollback", "LOG_LEVEL", *IN_PROJECT).out.splitlines()[1])[0] == "1"
    ran = cygni("env", "rollback", "LOG_LEVEL", "1", *IN_PROJECT)
    assert ran.out == "LOG_LEVEL is version 3, with the value of 1\n"
    assert api.sent("POST", "/env/env_1/rollback")[0].json == {"version": 1}


def test_tables_show_no_secret(cygni, api):
    api.on("GET", "/env", page([{**VARIABLE, "type": "secret", "value": None, "pending": False}]))
    heading, row = cygni("env", *IN_PROJECT).out.splitlines()
    assert columns(heading)[:4] == ["KEY", "VALUE", "TYPE", "TARGET"]
    assert columns(row)[:4] == ["LOG_LEVEL", "(hidden)", "secret", "both"]


def test_an_empty_list_names_the_next_command(cygni, api):
    api.on("GET", "/projects", page([]))
    ran = cygni("projects")
    assert (ran.code, ran.out) == (0, "")
    assert "No projects yet: cygni deploy" in ran.err


def test_a_noun_alone_lists(cygni, api):
    cygni("projects", "--json")
    cygni("tokens")
    cygni("deployments", "-p", "shop", "-n", "5")
    assert [seen.path for seen in api.requests] == ["/projects", "/tokens", "/deployments"]
    assert api.requests[2].query == {
        "projectId": "shop",
        "environment": "production",
        "limit": "5",
        "sort": "-createdAt",
    }


def test_ps_shows_processes_and_their_instances(cygni):
    ran = cygni("ps", *IN_PROJECT)
    _, process, instance = ran.out.splitlines()
    assert columns(process)[:4] == ["web", "1", "of", "2"]
    assert columns(instance)[:3] == ["inst_1", "running", "1"]
    assert "last exit: crashed" in instance
    assert "web has new settings that wait: cygni restart" in ran.err


def test_scale(cygni, api):
    ran = cygni("scale", "web=3", *IN_PROJECT, "-e", "staging")
    assert ran.out == "web 3\n"
    seen = api.sent("PATCH", "/projects/shop/processes/web")[0]
    assert (seen.query, seen.json) == ({"environment": "staging"}, {"instances": 3})
    for wrong in ("web", "web=-1", "web=x", "=3"):
        assert cygni("scale", wrong, *IN_PROJECT).code == 2


def test_logs_come_oldest_first_with_their_filters(cygni, api):
    ran = cygni("logs", *IN_PROJECT, "--level", "error", "--process", "web", "-n", "5", "--since", "2026-11-24")
    assert [line.rsplit(maxsplit=1)[1] for line in ran.out.splitlines()] == ["older", "newer"]
    assert ran.out.startswith("08:00:23.290 build ")
    assert api.sent("GET", "/logs")[0].query == {
        "projectId": "shop",
        "environment": "production",
        "since": "2026-11-24",
        "level": "error",
        "process": "web",
        "limit": "5",
        "sort": "-timestamp",
    }
    assert cygni("logs", *IN_PROJECT, "--since", "yesterday").code == 2


def test_a_request_is_a_line_too(cygni, api):
    request = {"method": "GET", "path": "/cart", "status": 200, "durationMs": 12}
    api.on("GET", "/logs", page([log_line("", source="request", step=None, request=request)]))
    assert cygni("logs", *IN_PROJECT).out == "08:00:23.290 request  GET /cart 200 12 ms\n"


def test_tokens(cygni, api):
    ran = cygni(
        "tokens", "create", "ci", "--scope", "logs:read", "--scope", "env:read", "--kind", "deploy", "--project", "shop"
    )
    assert ran.out.startswith("cygp_")
    assert api.sent("POST", "/tokens")[0].json == {
        "name": "ci",
        "scopes": ["logs:read", "env:read"],
        "kind": "deploy",
        "projectId": "shop",
    }
    assert "not shown again" in ran.err
    cygni("tokens", "rotate", "tok_1", "--overlap", "60")
    assert api.sent("POST", "/tokens/tok_1/rotate")[0].json == {"overlapSeconds": 60}


def test_any_route(cygni, api, home):
    ran = cygni("api", "get", "/v1/deployments", "-f", "status=failed", "-f", "limit=5")
    assert json.loads(ran.out)[0]["id"] == "dep_1"
    assert api.requests[-1].query == {"status": "failed", "limit": "5"}
    cygni("api", "PATCH", "/v1/projects/shop/processes/web", "-F", "instances=3", "-f", "note=3")
    assert api.requests[-1].json == {"instances": 3, "note": "3"}
    (home / "body.json").write_text('{"variables": []}')
    cygni("api", "PUT", "/v1/env/bulk", "--input", "body.json", "-f", "dryRun=true")
    assert (api.requests[-1].json, api.requests[-1].query) == ({"variables": []}, {"dryRun": "true"})
    assert cygni("api", "DELETE", "/v1/tokens/tok_1").out == ""
    for wrong in (("-f", "x"), ("-F", "x=nope")):
        assert cygni("api", "POST", "/v1/projects", *wrong).code == 2
    assert cygni("api", "GET", "https://evil.example/v1/me").code == 2


def test_more_pages_are_pointed_at(cygni, api):
    meta = {"pagination": {"limit": 1, "hasMore": True, "nextCursor": "abc"}}
    api.on("GET", "/projects", Answer([1], meta=meta))
    assert "-f cursor=abc" in cygni("api", "GET", "/v1/projects").err


def test_open_without_a_url(cygni, api):
    api.on("GET", "/projects/shop", {"url": None})
    ran = cygni("open", "--json", *IN_PROJECT)
    assert (ran.code, ran.json["error"]["code"]) == (1, "no_url")


def test_the_version_is_the_packages(anonymous):
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert anonymous("--version").out == f"cygni {project['version']}\n"
    assert cygni_cli.__version__ == project["version"]


@pytest.mark.parametrize("args", [["--help"], ["env", "--help"]])
def test_help_loads_neither_sdk_nor_http_library(args):
    """Starting fast is a matter of what is not imported."""
    code = (
        "import sys; from cygni_cli.main import run; run(sys.argv[1:]);"
        "heavy = {'httpx2', 'cygni', 'asyncio', 'rich', 'tarfile'};"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True)
    expected = "loaded: []" if args == ["--help"] else "loaded: ['cygni']"
    assert ran.stdout.splitlines()[-1] == expected


def test_a_reader_that_has_seen_enough(home):
    code = "import sys; from cygni_cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "completion", "bash"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    process.wait(30)
    assert b"Traceback" not in err
