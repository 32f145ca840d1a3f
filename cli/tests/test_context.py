import json
import os
import stat

import click
import pytest

from tests.fake_api import KEY, PROJECT, Answer, page


def login_file(home):
    return home.parent / "config/cygni/login.json"


@pytest.fixture
def stdin(home, monkeypatch):
    """Set what stdin holds."""
    opened = []

    def fill(text):
        path = home / "stdin"
        path.write_text(text)
        opened.append(path.open())
        monkeypatch.setattr("sys.stdin", opened[-1])

    yield fill
    for file in opened:
        file.close()


def said(ran):
    """The place that a command took, without the time before it."""
    return ran.err.splitlines()[0].split(maxsplit=1)[1]


def test_flag_before_environment_before_file(cygni, home, monkeypatch):
    (home / "cygni.toml").write_text('team = "acme"\nproject = "shop"\nenvironment = "staging"\n')
    assert said(cygni("open")) == "acme/shop · staging (cygni.toml)"
    monkeypatch.setenv("CYGNI_PROJECT", "other")
    monkeypatch.setenv("CYGNI_ENVIRONMENT", "production")
    assert said(cygni("open")) == "acme/other · production (CYGNI_PROJECT)"
    ran = cygni("open", "--project", "shop", "-e", "staging")
    assert said(ran) == "acme/shop · staging (--project)"
    assert ran.out == "http://shop--staging.localhost:8001\n"


def test_the_file_is_found_above_but_not_outside_the_repository(cygni, home, monkeypatch):
    (home.parent / "cygni.toml").write_text('project = "outside"\n')
    (home / "sub/deeper").mkdir(parents=True)
    monkeypatch.chdir(home / "sub/deeper")
    assert cygni("open").code == 2
    (home / "cygni.toml").write_text('project = "shop"\n')
    assert cygni("open").out == "http://shop.localhost:8001\n"


def test_of_a_directory_its_own_file_counts(cygni, api, home):
    (home / "cygni.toml").write_text('project = "other"\n')
    (home / "app").mkdir()
    (home / "app/cygni.toml").write_text('project = "shop"\n')
    assert cygni("deploy", "app", "--detach").code == 0
    assert api.requests[0].path == "/projects/shop"


def test_a_file_that_is_not_toml(cygni, home):
    (home / "cygni.toml").write_text("project =")
    ran = cygni("open", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "bad_toml")


def test_a_script_is_told_the_flag(cygni, api):
    for args, flag in (
        (("open",), "--project"),
        (("projects", "delete", "shop"), "--confirm"),
        (("env", "export", "--project", "shop"), "--reason"),
        (("login",), "--token-stdin"),
    ):
        ran = cygni(*args)
        assert ran.code == 2
        assert flag in ran.err
    assert api.sent("DELETE", ".*") == []


def test_a_person_is_asked(cygni, api, monkeypatch):
    asked = []

    def prompt(text, **options):
        asked.append((text, options["default"]))
        return options["default"]

    monkeypatch.setattr("click.prompt", prompt)
    monkeypatch.setattr("click.launch", lambda url: asked.append(("launched", url)))
    ran = cygni("open", interactive=True)
    assert (ran.code, ran.out) == (0, "http://shop.localhost:8001\n")
    assert asked == [("Project", "shop"), ("launched", "http://shop.localhost:8001")]


def test_an_error_has_four_lines(cygni, api):
    error = {
        "code": "validation_error",
        "message": "The name cannot be used.",
        "hint": None,
        "errors": [{"field": "name", "code": "invalid", "reason": "Must be alphanumeric with hyphens"}],
    }
    api.on("POST", "/projects", Answer(status=400, error=error))
    ran = cygni("projects", "create", "A_B")
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.splitlines() == [
        "Error    The name cannot be used.",
        "Why      validation_error (400) · name: Must be alphanumeric with hyphens",
        "Do       Correct it and run it again.",
        "Request  req_1",
    ]


def test_the_hint_of_the_api_is_printed_as_it_is(cygni, api):
    error = {"code": "name_taken", "message": "A project shop exists.", "hint": "Pick another name, please."}
    api.on("POST", "/projects", Answer(status=409, error=error))
    assert "Do       Pick another name, please.\n" in cygni("projects", "create", "shop").err


def test_nobody_answers(cygni, monkeypatch):
    monkeypatch.setenv("CYGNI_API_URL", "http://127.0.0.1:9/v1")
    ran = cygni("whoami")
    assert ran.code == 1
    assert "cygni doctor" in ran.err


def test_a_key_without_a_url_is_told_that_the_url_is_missing(cygni, monkeypatch):
    monkeypatch.delenv("CYGNI_API_URL")
    monkeypatch.setattr("cygni._runtime.config.DEFAULT_BASE_URL", "http://127.0.0.1:9/v1")
    ran = cygni("whoami")
    assert ran.code == 1
    assert "Set CYGNI_API_URL too" in ran.err


def test_login_checks_and_keeps(anonymous, api, home, stdin):
    stdin(f"{KEY}\n")
    ran = anonymous("login", "--url", api.url.removesuffix("/v1"), "--token-stdin")
    assert ran.code == 0, ran.err
    path = login_file(home)
    assert json.loads(path.read_text()) == {"apiUrl": api.url, "apiKey": KEY}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["login.json"]
    assert api.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in ran.out + ran.err
    assert anonymous("whoami").out.startswith(f"Ada at {api.url}\n")
    assert anonymous("logout").code == 0
    assert anonymous("whoami").code == 1


def test_a_token_of_no_use_is_not_kept(anonymous, api, home, stdin):
    api.on("GET", "/me", Answer(status=401, error={"code": "unauthorized", "message": "No."}))
    stdin("wrong\n")
    ran = anonymous("login", "--url", api.url, "--token-stdin", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "unauthorized")
    assert not login_file(home).exists()


def test_login_is_offered_in_place(anonymous, api, home, monkeypatch):
    answers = iter([api.url, KEY])
    monkeypatch.setattr("click.prompt", lambda *_, **__: next(answers))
    ran = anonymous("whoami", interactive=True)
    assert ran.code == 0
    assert "You are not logged in." in ran.err
    assert login_file(home).exists()


def test_a_prompt_that_is_left(cygni, monkeypatch):
    def leave(*_, **__):
        raise click.Abort

    monkeypatch.setattr("click.prompt", leave)
    ran = cygni("open", "--json", interactive=True)
    assert (ran.code, ran.json["error"]["code"]) == (130, "let_go")


def test_names_of_projects_complete_from_live_data(cygni, api, monkeypatch, capsys):
    api.on("GET", "/projects", page([PROJECT, {**PROJECT, "name": "shed"}, {**PROJECT, "name": "blog"}]))
    monkeypatch.setenv("_CYGNI_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "cygni logs --project sh")
    monkeypatch.setenv("COMP_CWORD", "3")
    for key, offered in ((KEY, ["plain,shop", "plain,shed"]), ("", [])):
        monkeypatch.setenv("CYGNI_API_KEY", key)
        with pytest.raises(SystemExit):
            cygni()
        assert capsys.readouterr().out.split() == offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("cygni logs --project shop -e st", ["plain,staging"]),
        ("cygni deployments show dep", ["plain,dep_1"]),
        ("cygni projects show sh", ["plain,shop"]),
    ],
)
def test_environments_deployments_and_names_complete_too(cygni, monkeypatch, capsys, words, offered):
    monkeypatch.setenv("_CYGNI_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    monkeypatch.setenv("CYGNI_API_KEY", KEY)
    with pytest.raises(SystemExit):
        cygni()
    assert capsys.readouterr().out.split() == offered


def test_doctor(cygni, api, home, stdin, monkeypatch):
    ran = cygni("doctor", "--json")
    assert ran.code == 0, ran.out
    assert [(check["name"], check["status"]) for check in ran.json][:4] == [
        ("login", "ok"),
        ("api", "ok"),
        ("token", "ok"),
        ("clock", "ok"),
    ]
    stdin(KEY)
    cygni("login", "--token-stdin")
    monkeypatch.delenv("CYGNI_API_KEY")
    login_file(home).chmod(0o644)
    checks = {check["name"]: check for check in cygni("doctor", "--json").json}
    assert checks["login"]["status"] == "warning"
    assert "chmod 600" in checks["login"]["hint"]
    api.on("GET", "/me", Answer(status=401, error={"code": "token_expired", "message": "It ended."}))
    ran = cygni("doctor")
    assert ran.code == 1
    assert "✗ token" in ran.out


def test_doctor_without_a_login(anonymous):
    ran = anonymous("doctor")
    assert ran.code == 1
    assert "✗ login" in ran.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(anonymous, shell):
    ran = anonymous("completion", shell)
    assert ran.code == 0
    assert "_CYGNI_COMPLETE" in ran.out
    assert os.path.basename(shell) in ran.out
