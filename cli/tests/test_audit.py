"""The audit log from the command line."""

import json
import os
import subprocess
import sys

import pytest

from tests.fake_api import ROW, Answer


def test_what_is_asked_for_reaches_the_api(cygni, api):
    ran = cygni("audit", "--team", "acme", "-p", "shop", "--actor", "user_1", "--result", "denied", "--action", "a,b")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[1].split() == [
        *("aud_1", ROW["createdAt"], "Ada", "env.updated", "envVariable", "COLOR", "success"),
    ]
    (seen,) = api.sent("GET", "/audit-logs")
    asked = {"teamId": "team_1", "projectId": "shop", "actorId": "user_1", "result": "denied", "action": "a,b"}
    assert seen.query == {**asked, "limit": "20"}


def test_the_installations_chain_is_named(cygni, api):
    assert cygni("audit", "verify", "--installation", "--from", "2", "--to", "5").code == 0
    assert api.sent("GET", "/audit-logs/verify")[0].query == {"teamId": "null", "fromSeq": "2", "toSeq": "5"}
    assert cygni("audit", "verify", "--installation", "--team", "acme").code == 2


def test_one_row_is_shown_whole(cygni):
    lines = dict(line.split(maxsplit=1) for line in cygni("audit", "get", "aud_1").out.splitlines())
    assert (lines["by"], lines["from"], lines["before.version"], lines["after.version"]) == (
        "Ada",
        "192.0.2.1",
        "1",
        "2",
    )
    assert lines["chain"] == "team_1, row 7"
    assert "reason" not in lines


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_an_altered_log_fails_the_command(cygni, api, flags):
    found = {"valid": False, "checkedRows": 3, "firstBadSeq": 3, "headSeq": 7, "headHash": "ab" * 32}
    api.on("GET", "/audit-logs/verify", found)
    ran = cygni("audit", "verify", *flags)
    assert ran.code == 1
    assert "row 3 is not what was written" in ran.err
    if flags:
        assert ran.json == found


def test_an_export_is_a_file_once_it_is_whole(cygni, api, home):
    ran = cygni("audit", "export", "audit.csv", "--team", "acme", "--since", "2026-01-01T00:00:00Z")
    assert (ran.code, ran.out) == (0, "audit.csv\n"), ran.err
    assert json.loads((home / "audit.csv").read_text()) == ROW
    query = {"format": "csv", "teamId": "team_1", "since": "2026-01-01T00:00:00Z"}
    assert api.sent("GET", "/audit-logs/export")[0].query == query
    (home / "audit.csv").unlink()
    api.broken = Answer(status=503, error={"code": "some_code", "message": "It is so.", "hint": "Do that."})
    assert cygni("audit", "export", "audit.csv").code == 1
    assert not [each for each in home.iterdir() if "audit" in each.name]


def test_an_export_to_stdout_is_nothing_but_the_rows(cygni):
    assert cygni("audit", "export", "-", "--json").code == 2
    code = "import sys; from cygni_cli.main import main; main()"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, "audit", "export", "-"], env=env, capture_output=True, check=True
    )
    assert json.loads(done.stdout) == ROW


def test_a_file_without_rows_is_not_verified(anonymous, home):
    (home / "empty.jsonl").touch()
    ran = anonymous("audit", "verify", str(home / "empty.jsonl"), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "empty_export")
    assert anonymous("audit", "verify", str(home / "empty.jsonl"), "--filtered").code == 0
