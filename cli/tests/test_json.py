"""Every command, whatever happens, answers `--json` with JSON on stdout and nothing else there."""

import json

import click
import pytest

from cygni_cli.main import root
from tests.fake_api import Answer

IN_PROJECT = ("--project", "shop")

CALLS = {
    "deploy": ("--project", "shop", "."),
    "deployments list": IN_PROJECT,
    "deployments show": ("dep_1",),
    "deployments watch": ("dep_1",),
    "deployments cancel": ("dep_1",),
    "rollback": ("dep_1",),
    "restart": IN_PROJECT,
    "logs": (*IN_PROJECT, "--since", "10m"),
    "env list": IN_PROJECT,
    "env set": (*IN_PROJECT, "A=b"),
    "env get": (*IN_PROJECT, "LOG_LEVEL"),
    "env unset": (*IN_PROJECT, "LOG_LEVEL"),
    "env import": (*IN_PROJECT, ".env"),
    "env export": (*IN_PROJECT, "--reason", "a move"),
    "env rollback": (*IN_PROJECT, "LOG_LEVEL", "1"),
    "ps": IN_PROJECT,
    "scale": (*IN_PROJECT, "web=3"),
    "open": IN_PROJECT,
    "projects list": (),
    "projects show": ("shop",),
    "projects create": ("shop",),
    "projects delete": ("shop", "--confirm", "shop"),
    "tokens list": (),
    "tokens create": ("ci", "--scope", "*"),
    "tokens rotate": ("tok_1",),
    "tokens revoke": ("tok_1",),
    "login": ("--token-stdin",),
    "logout": (),
    "whoami": (),
    "api": ("GET", "/v1/me"),
    "doctor": (),
    "completion": ("bash",),
}
LOCAL = ("logout", "completion")


def leaves(group, prefix=""):
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        if isinstance(found, click.Group):
            yield from leaves(found, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", found


@pytest.fixture(autouse=True)
def files(home, monkeypatch):
    (home / "app.py").write_text("print()")
    (home / ".env").write_text("LOG_LEVEL=debug\n")
    (home / "token").write_text("a-token\n")
    with (home / "token").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield


def test_no_command_is_left_out():
    assert {name for name, _ in leaves(root)} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_on_success(cygni, name):
    ran = cygni(*name.split(), *CALLS[name], "--json")
    assert ran.code == 0, ran.err
    assert isinstance(ran.json, (dict, list))


@pytest.mark.parametrize("name", [name for name in CALLS if name not in LOCAL])
@pytest.mark.parametrize("status", [401, 503])
def test_on_failure(cygni, api, name, status):
    api.broken = Answer(status=status, error={"code": "some_code", "message": "It is so.", "hint": "Do that."})
    ran = cygni(*name.split(), *CALLS[name], "--json")
    assert ran.code == 1
    if name == "doctor":
        assert {"failed"} <= {check["status"] for check in ran.json}
        return
    assert ran.json["error"]["code"] == "some_code"
    assert ran.json["error"]["requestId"] == "req_1"
    assert len(ran.err.splitlines()) >= 4


@pytest.mark.parametrize("name", CALLS)
def test_on_wrong_usage(cygni, name):
    ran = cygni(*name.split(), *CALLS[name], "--no-such-option", "--json")
    assert ran.code == 2
    assert ran.json["error"]["code"] == "usage"


@pytest.mark.parametrize("name", [name for name in CALLS if name not in (*LOCAL, "login", "doctor")])
def test_without_a_login(anonymous, name):
    ran = anonymous(*name.split(), *CALLS[name], "--json")
    assert ran.code == 1
    assert ran.json["error"]["code"] == "no_login"


def test_a_feed_is_one_document_a_line(cygni):
    ran = cygni("logs", "-f", *IN_PROJECT, "--json")
    assert ran.code == 0
    assert [json.loads(line)["message"] for line in ran.out.splitlines()] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "found"), list(leaves(root)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_help_begins_with_examples_of_the_command_itself(cygni, name, found):
    ran = cygni(*name.split(), "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Examples:\n  {found.examples[0]}")
    noun = name.split()[0]
    assert all(f"cygni {noun}" in example or "cygni open" in example for example in found.examples)
    assert found.help
