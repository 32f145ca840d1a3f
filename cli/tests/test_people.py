"""Teams and people are named as people name them; `can` says yes or no by its exit code."""

import pytest

from tests.fake_api import Answer, page

TEAM = {"id": "team_1", "name": "Acme", "slug": "acme", "plan": "pro", "memberCount": 1, "allowedIps": [],
        "allowedEmailDomains": ["example.com"], "maxTokenAgeDays": 90}  # fmt: skip
MEMBER = {"id": "mem_1", "teamId": "team_1", "userId": "user_2", "name": "Grace", "email": "grace@example.com",
          "roleId": "role_1", "roleName": "viewer", "twoFactorEnabled": False, "lastActiveAt": None,
          "projectRoles": [{"grantId": "grant_1", "projectId": "proj_1", "environment": None, "roleId": "role_2",
                            "roleName": "operator"}]}  # fmt: skip


def check(allowed):
    given = {"type": "role", "id": "role_1", "name": "viewer"}
    return {
        "checks": [
            {"scope": "logs:read", "projectId": "proj_1", "environment": None, "allowed": allowed, "reason": "So.",
             "grantedBy": given if allowed else None, "wouldAllow": [] if allowed else [given]},
        ]
    }  # fmt: skip


@pytest.fixture(autouse=True)
def people(api):
    for method, path, answer in (
        ("GET", "/teams/team_1", TEAM),
        ("PATCH", "/teams/team_1", TEAM),
        ("GET", "/teams/team_1/members", page([MEMBER])),
        ("PATCH", "/teams/team_1/members/mem_1", lambda seen: {**MEMBER, "roleName": seen.json["role"]}),
        ("POST", "/teams/team_1/invitations", Answer({"id": "inv_1", "acceptUrl": "http://x#y"}, 201)),
        ("POST", "/grants", lambda seen: Answer({"id": "grant_2", **seen.json}, 201)),
    ):
        api.on(method, path, answer)


def test_a_team_by_its_slug(cygni):
    for reference in ("acme", "team_1"):
        assert "addresses of members: example.com" in cygni("teams", "show", reference).out
    assert "up to 90 days old, from anywhere" in cygni("teams", "show").out


def test_a_member_by_the_address(cygni):
    assert "operator on proj_1" in cygni("members").out
    assert cygni("members", "role", "grace@example.com", "developer").out == "Grace is developer\n"
    ran = cygni("members", "role", "nobody@example.com", "developer", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "not_found")


def test_an_invitation_prints_its_link(cygni):
    ran = cygni("invite", "create", "kim@example.com", "--role", "viewer")
    assert ran.out == "http://x#y\n"
    assert "not shown again" in ran.err


def test_a_grant_to_a_member_or_a_token(cygni):
    made = cygni("grants", "add", "grace@example.com", "operator", "--project", "shop", "--json").json
    assert made["userId"] == "user_2"
    assert cygni("grants", "add", "tok_9", "deployer", "--project", "shop", "--json").json["tokenId"] == "tok_9"


@pytest.mark.parametrize(("allowed", "code", "said"), [(True, 0, "yes: So."), (False, 1, "no: So.")])
def test_can_says_yes_or_no(cygni, api, allowed, code, said):
    api.on("POST", "/permissions/check", check(allowed))
    ran = cygni("can", "logs:read", "--project", "shop")
    assert (ran.code, ran.out.strip()) == (code, said)
    assert ("It would be allowed by: role viewer" in ran.err) is not allowed
