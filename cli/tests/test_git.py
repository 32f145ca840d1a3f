"""`cygni git`: a remote, a login that git asks for and nobody writes down, and repositories elsewhere."""

from __future__ import annotations

import io
import subprocess

import pytest

from tests.fake_api import CONNECTION, KEY, PROJECT, Answer, page

URL = "https://cygni.example.com/git/shop.git"


def config(home, name):
    done = subprocess.run(["git", "config", "--get-all", name], cwd=home, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def test_a_project_becomes_a_remote_and_no_token_is_written(cygni, home):
    assert cygni("git", "remote", "add", "--project", "shop").code == 0
    assert config(home, "remote.cygni.url") == [URL]
    assert config(home, "credential.https://cygni.example.com.helper") == ["", "!cygni git credential"]
    assert KEY not in (home / ".git" / "config").read_text()
    # once more changes nothing
    assert cygni("git", "remote", "add", "--project", "shop").code == 0
    assert config(home, "credential.https://cygni.example.com.helper") == ["", "!cygni git credential"]


def test_another_remote_of_that_name_is_left_alone(cygni, home):
    subprocess.run(["git", "remote", "add", "cygni", "https://example.com/x.git"], cwd=home, check=True)
    ran = cygni("git", "remote", "add", "--project", "shop")
    assert ran.code == 1
    assert "git remote remove cygni" in ran.err
    assert config(home, "remote.cygni.url") == ["https://example.com/x.git"]
    assert cygni("git", "remote", "add", "deploy", "--project", "shop").code == 0


def test_outside_of_a_repository_it_says_what_to_do(cygni, tmp_path, monkeypatch):
    (tmp_path / "plain").mkdir()
    monkeypatch.chdir(tmp_path / "plain")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    ran = cygni("git", "remote", "add", "--project", "shop")
    assert ran.code == 1
    assert "git init" in ran.err


def test_the_login_is_for_its_own_api_and_for_no_other_host(cygni, api, monkeypatch):
    def ask(action, host):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"protocol=http\nhost={host}\n\n"))
        return cygni("git", "credential", action)

    own = api.url.removesuffix("/v1").removeprefix("http://")
    assert ask("get", own).out.splitlines() == ["username=cygni", f"password={KEY}"]
    assert ask("get", "elsewhere.example.com").out == ""
    assert ask("store", own).out == ""


REPOSITORY = "https://git.example.com/shop.git"
SHA = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.mark.parametrize(
    ("flags", "body"),
    [
        (["--branch", "topic"], {"branch": "topic"}),
        (["--tag", "v1"], {"tag": "v1"}),
        (["--commit", SHA, "--branch", "main"], {"commitSha": SHA, "branch": "main"}),
    ],
)
def test_what_is_in_the_repository_is_deployed_and_nothing_uploaded(cygni, api, flags, body):
    ran = cygni("deploy", *flags, "--project", "shop", "-m", "New")
    assert (ran.code, ran.out) == (0, "http://shop.localhost:8001\n")
    sent = api.sent("POST", "/deployments")[0].json
    assert sent == {"projectId": "shop", "environment": "production", "message": "New", **body}
    assert api.sent("POST", "/uploads") == []


def test_a_folder_beside_a_branch_is_wrong_usage(cygni, api, home):
    ran = cygni("deploy", ".", "--branch", "main", "--project", "shop")
    assert ran.code == 2
    assert "choose one" in ran.err
    assert api.requests == []


def test_a_project_of_a_branch_must_be_there(cygni, api):
    missing = {"code": "not_found", "message": "None.", "hint": None}
    api.on("POST", "/deployments", Answer(status=404, error=missing))
    assert cygni("deploy", "--branch", "main", "--project", "fresh").code == 1
    assert api.sent("POST", "/projects") == []


def test_a_project_is_made_with_its_repository(cygni, api):
    ran = cygni("projects", "create", "shop", "--repo", REPOSITORY, "--branch", "release", "--connection", "git_1")
    assert (ran.code, ran.out) == (0, "shop\n")
    source = {"repositoryUrl": REPOSITORY, "branch": "release", "connectionId": "git_1"}
    assert api.sent("POST", "/projects")[0].json == {"name": "shop", "source": source}
    assert "cygni deployments --project shop" in ran.err
    cygni("projects", "create", "shop", "--repo", REPOSITORY)
    assert api.sent("POST", "/projects")[1].json == {"name": "shop", "source": {"repositoryUrl": REPOSITORY}}
    assert cygni("projects", "create", "shop", "--branch", "release").code == 2


@pytest.mark.parametrize(
    ("flags", "patch"),
    [
        (["--repo", REPOSITORY], {"repositoryUrl": REPOSITORY}),
        (["--branch", "release", "--connection", "git_1"], {"branch": "release", "connectionId": "git_1"}),
        (["--no-connection"], {"connectionId": None}),
        (["--clear"], None),
    ],
)
def test_the_repository_of_a_project_is_set_and_cleared(cygni, api, flags, patch):
    shown = {"repositoryUrl": REPOSITORY, "branch": "release", "connectionId": None}
    api.on("PATCH", "/projects/shop", lambda seen: {**PROJECT, "source": seen.json["source"] and shown})
    ran = cygni("projects", "source", "shop", *flags)
    assert ran.code == 0
    assert api.sent("PATCH", "/projects/shop")[0].json == {"source": patch}
    assert (REPOSITORY in ran.out) == (patch is not None)


def test_the_repository_of_a_project_is_shown(cygni, api):
    assert "shop has no git source" in cygni("projects", "source", "shop").err
    source = {"repositoryUrl": REPOSITORY, "branch": "release", "connectionId": "git_1"}
    api.on("GET", "/projects/shop", {**PROJECT, "source": source})
    assert cygni("projects", "source", "shop").out.splitlines()[1].split() == [REPOSITORY, "release", "git_1"]
    assert cygni("projects", "source", "shop", "--json").json["source"] == source
    assert api.sent("PATCH", "/projects/shop") == []
    for wrong in (["--clear", "--branch", "main"], ["--connection", "git_1", "--no-connection"]):
        assert cygni("projects", "source", "shop", *wrong).code == 2


def test_an_ssh_key_is_made_and_its_public_half_printed(cygni, api, home):
    (home / "hosts").write_text("git.example.com ssh-ed25519 AAAA\n")
    create = ("git", "connections", "create", "host", "--host", "git.example.com")
    ran = cygni(*create, "--known-hosts", "hosts", "--team", "acme")
    assert (ran.code, ran.out) == (0, f"{CONNECTION['publicKey']}\n")
    assert "--connection git_1" in ran.err
    assert api.sent("POST", "/git/connections")[0].json == {
        "name": "host",
        "host": "git.example.com",
        "auth": {"type": "sshKey"},
        "knownHosts": "git.example.com ssh-ed25519 AAAA\n",
        "teamId": "team_1",
    }
    assert cygni(*create, "--username", "ada").code == 2


def test_a_token_of_a_host_comes_from_stdin_and_is_not_said(cygni, api, monkeypatch):
    made = {**CONNECTION, "auth": {"type": "token", "username": "ada"}, "publicKey": None}
    api.on("POST", "/git/connections", Answer(made, 201))
    create = ("git", "connections", "create", "ci", "--host", "git.example.com", "--token-stdin")
    monkeypatch.setattr("sys.stdin", io.StringIO("a-secret\n"))
    ran = cygni(*create, "--username", "ada")
    assert (ran.code, ran.out) == (0, "git_1\n")
    assert "a-secret" not in ran.out + ran.err
    sent = api.sent("POST", "/git/connections")[0].json
    assert sent["auth"] == {"type": "token", "token": "a-secret", "username": "ada"}
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert cygni(*create).code == 2


def test_connections_are_listed_and_deleted(cygni, api):
    listed = cygni("git", "connections")
    assert {"git_1", "git.example.com", "sshKey", "AAAA"} <= set(listed.out.splitlines()[1].split())
    assert cygni("git", "connections", "list", "--json").json[0]["id"] == "git_1"
    assert cygni("git", "connections", "delete", "git_1").out == "git_1 deleted\n"
    assert len(api.sent("DELETE", "/git/connections/git_1")) == 1
    api.on("GET", "/git/connections", page([]))
    assert "cygni git connections create" in cygni("git", "connections").err


def test_how_a_project_is_built_is_set_and_shown(cygni, api):
    build = {"rootDir": "apps/web", "watchPaths": ["apps/web/", "packages/"], "buildCommand": None}
    shown = {**PROJECT["build"], **build}
    api.on("PATCH", "/projects/shop", {**PROJECT, "build": shown})
    flags = ("--root-dir", "apps/web", "--build-command", "", "--watch", "apps/web/", "--watch", "packages/")
    ran = cygni("projects", "build", "shop", *flags)
    assert api.sent("PATCH", "/projects/shop")[0].json == {"build": build}
    assert [line.split() for line in ran.out.splitlines()[1:]] == [
        ["root", "folder", "apps/web"],
        ["watch", "paths", "apps/web/", "packages/"],
    ]
    cygni("projects", "build", "shop", "--watch", "")
    assert api.sent("PATCH", "/projects/shop")[1].json == {"build": {"watchPaths": []}}


def test_a_project_of_which_nothing_is_set_says_so(cygni):
    assert "cygni.toml decides" in cygni("projects", "build", "shop").err
