"""The audit log from the command line."""

import pytest

from tests.fake_api import ROW


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
