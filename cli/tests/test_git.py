"""`cygni git`: a remote, and a login that git asks for and nobody writes down."""

from __future__ import annotations

import io
import subprocess

from tests.fake_api import KEY

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
