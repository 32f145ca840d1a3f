"""Every command, whatever happens, answers `--json` with JSON on stdout and nothing else there."""

import json
from pathlib import Path

import click
import pytest

from cygni_cli.main import root
from tests.fake_api import Answer

HELLO = str(Path(__file__).parents[2] / "examples" / "hello")
IN_PROJECT = ("--project", "shop")

# in braces: what is made before the call, see test_real.py
CALLS: dict[str, tuple[str, ...]] = {
    "deploy": (HELLO, *IN_PROJECT, "--message", "new", "--strategy", "recreate"),
    "deployments list": IN_PROJECT,
    "deployments show": ("{live}",),
    "deployments watch": ("{live}",),
    "deployments approve": ("{under_way}", "--comment", "Seen"),
    "deployments cancel": ("{under_way}",),
    "rollback": IN_PROJECT,
    "restart": IN_PROJECT,
    "logs": (*IN_PROJECT, "--since", "1h", "--source", "build", "--level", "info", "-n", "1000"),
    "git remote add": IN_PROJECT,
    "git credential": ("get",),
    "git connections list": (),
    "git connections create": ("host", "--host", "git.example.com", "--token-stdin", "--username", "ada"),
    "git connections delete": ("{connection}",),
    "env list": IN_PROJECT,
    "env set": (*IN_PROJECT, "A=b", "--plain", "--target", "build"),
    "env get": (*IN_PROJECT, "{variable}", "--reason", "a test"),
    "env unset": (*IN_PROJECT, "{variable}"),
    "env import": (*IN_PROJECT, ".env"),
    "env export": (*IN_PROJECT, "--reason", "a move", "--format", "shell"),
    "env rollback": (*IN_PROJECT, "{variable}", "1"),
    "ps": (*IN_PROJECT, "--all"),
    "scale": (*IN_PROJECT, "web=1"),
    "open": IN_PROJECT,
    "projects list": (),
    "projects show": ("shop",),
    "projects create": ("{unheard_of}",),
    "projects source": ("{project}", "--repo", "https://git.example.com/shop.git", "--branch", "release"),
    "projects build": ("{project}", "--watch", "web/"),
    "projects delete": ("{project}", "--confirm", "{project}"),
    "tokens list": (),
    "tokens create": ("ci", "--scope", "logs:read", "--kind", "deploy", *IN_PROJECT),
    "tokens rotate": ("{token}", "--overlap", "60"),
    "tokens revoke": ("{token}",),
    "tokens report": ("--url", "https://git.example.com/shop/deploy.sh"),
    "teams list": (),
    "teams show": (),
    "teams create": ("{unheard_of}",),
    "teams update": ("--max-token-age-days", "0"),
    "teams delete": ("default", "--confirm", "Default"),
    "teams restore": ("team_1",),
    "members list": (),
    "members role": ("ada@example.com", "owner"),
    "members remove": ("ada@example.com",),
    "invite list": (),
    "invite create": ("{unheard_of}@example.com", "--role", "viewer"),
    "invite revoke": ("{invitation}",),
    "invite accept": ("https://cygni.example.com/invitation#Zt4m0Q1cTnJx7v2rW8yKp3sHd6uEa9fBg5oLi1kNq0M",),
    "roles list": (),
    "roles create": ("{unheard_of}", "--scope", "logs:read"),
    "roles update": ("{role}", "--scope", "logs:read"),
    "roles delete": ("{role}",),
    "grants list": IN_PROJECT,
    "grants add": ("ada@example.com", "viewer", *IN_PROJECT),
    "grants remove": ("{grant}",),
    "can": ("logs:read", *IN_PROJECT),
    "audit list": (*IN_PROJECT, "--since", "1h", "--result", "success", "-n", "5"),
    "audit get": ("{row}",),
    "audit export": ("audit.jsonl", "--action", "token.created"),
    "audit checkpoints": ("-n", "1"),
    "audit verify": (),
    "quotas": (),
    "login": ("--token-stdin",),
    "register": ("--email", "{unheard_of}@example.com", "--name", "Bo", "--password-stdin"),
    "approve": ("BCDF-GHJK",),
    "me show": (),
    "me update": ("--name", "Ada"),
    "me password": ("--password-stdin",),
    "me reset-password": ("ada@example.com",),
    "me two-factor enroll": ("--password-stdin",),
    "me two-factor confirm": ("123456",),
    "me two-factor disable": ("--otp", "123456", "--password-stdin"),
    "me confirm-email": ("mB0m2Yt8s1f7Q5o9c3V6k4Zx1n8r2L0aP7h3j5W9d6E",),
    "sessions list": (),
    "sessions revoke": ("--others",),
    "logout": (),
    "whoami": (),
    "api": ("GET", "/v1/projects", "-f", "limit=1"),
    "doctor": (),
    "completion": ("bash",),
}
ANONYMOUS = ("login", "register", "me reset-password", "me confirm-email")
LOCAL = ("logout", "completion", "git credential")


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
    (home / "token").write_text("a-token\n" * 2)
    with (home / "token").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield


def test_no_command_is_left_out():
    assert {name for name, _ in leaves(root)} == set(CALLS)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in LOCAL])
def test_on_failure(cygni, api, name):
    api.broken = Answer(status=503, error={"code": "some_code", "message": "It is so.", "hint": "Do that."})
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


@pytest.mark.parametrize("name", [name for name in CALLS if name not in (*LOCAL, *ANONYMOUS, "doctor")])
def test_without_a_login(anonymous, name):
    ran = anonymous(*name.split(), *CALLS[name], "--json")
    assert ran.code == 1
    assert ran.json["error"]["code"] == "no_login"


def test_a_feed_is_one_document_a_line(cygni, api):
    ran = cygni("logs", "-f", *IN_PROJECT, "--json")
    assert ran.code == 0
    assert [json.loads(line)["message"] for line in ran.out.splitlines()] == ["older", "newer", "one", "two"]
    assert api.sent("GET", "/logs/stream")[0].headers["last-event-id"] == "log_2"


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
