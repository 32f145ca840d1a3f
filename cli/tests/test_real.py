"""Every command against a real installation: real answers, real deployments, one parsable value on stdout."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from cygni import CygniClient
from tests.e2e.harness import Installation, until
from tests.test_json import ANONYMOUS, CALLS, HELLO, IN_PROJECT

LEAKED = "cygp_7Zk3QmVx9LpT2bWcRyUe5HsNfDaGjK25prFq"
"""Well formed, and nobody's."""
PASSWORD = "three unlikely words"
BY_SESSION = ("sessions", "me")
ALONE = ("git credential", "approve", "me confirm-email", "me two-factor confirm", "me two-factor disable")
"""One speaks with git alone, the others say what only mail, an authenticator or a device brings."""
FOR_ALL = ("teams create", "teams delete", "teams restore", "members remove", "invite accept", "deployments approve")
"""They change which teams there are and who is in them, under the feet of all others, or take somebody else: tests of
the API do them."""
BROKEN = 'import os\nport = os.environ["PORT"]\nraise SystemExit("the reason is here")\n'
SLOW = BROKEN.replace("raise", "import time; time.sleep(3600)\nraise")


@pytest.fixture(scope="module")
def installation():
    with tempfile.TemporaryDirectory(prefix="cygni-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        made = Installation(
            folder, folder / "toolchains", env={"CYGNI_DEFAULT_PLAN": "enterprise", "CYGNI_REGISTRATION": "open"}
        )
        try:
            made.up()
            for message in ("first", "second"):
                made.cygni("deploy", HELLO, "--project", "shop", "--message", message)
            with CygniClient("", base_url=made.summary["apiUrl"]) as nobody:
                owner = {"email": "ada@example.com", "password": PASSWORD}
                nobody.auth.register(**owner, name="Ada", setup_code=made.summary["setupCode"])
                made.session = nobody.auth.login(**owner).secret
            yield made
        finally:
            made.stop()


@pytest.fixture
def real(anonymous, home, installation, monkeypatch):
    monkeypatch.setenv("CYGNI_API_KEY", installation.token)
    monkeypatch.setenv("CYGNI_API_URL", installation.summary["apiUrl"])
    (home / ".env").write_text("IMPORTED=yes\n")

    def call(*args):
        token = LEAKED if args[:2] == ("tokens", "report") else installation.token
        said = f"{PASSWORD}\n{PASSWORD}\n" if "--password-stdin" in args and args[0] == "me" else f"{token}\n"
        monkeypatch.setattr("sys.stdin", io.StringIO(said))
        if args[0] in BY_SESSION and os.environ["CYGNI_API_KEY"] == installation.token:
            monkeypatch.setenv("CYGNI_API_KEY", installation.session)
        return anonymous(*args)

    return call


def app(home, source):
    folder = home / "app"
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(source)
    (folder / "Procfile").write_text("web: python app.py\n")
    return str(folder)


def live(cygni, home) -> str:
    return next(one["id"] for one in cygni("deployments", *IN_PROJECT, "--json").json if one["rollbackable"])


def token(cygni, home) -> str:
    return cygni("tokens", "create", "t", "--scope", "logs:read", "--json").json["id"]


def variable(cygni, home) -> str:
    cygni("env", "set", "GIVEN=1", *IN_PROJECT)
    return "GIVEN"


def unheard_of(cygni, home) -> str:
    return f"p-{os.urandom(3).hex()}"


def project(cygni, home) -> str:
    return cygni("projects", "create", unheard_of(cygni, home)).out.strip()


def connection(cygni, home) -> str:
    return cygni("git", "connections", "create", "c", "--host", "git.example.com", "--json").json["id"]


def row(cygni, home) -> str:
    return cygni("audit", "list", "-n", "1", "--json").json[0]["id"]


def role(cygni, home) -> str:
    return cygni("roles", "create", unheard_of(cygni, home), "--scope", "logs:read").out.strip()


def grant(cygni, home) -> str:
    return cygni("grants", "add", "ada@example.com", "viewer", *IN_PROJECT).out.strip()


def invitation(cygni, home) -> str:
    made = cygni("invite", "create", f"{unheard_of(cygni, home)}@example.com", "--role", "viewer", "--json")
    return made.json["id"]


def under_way(cygni, home) -> str:
    return cygni("deploy", app(home, SLOW), "--project", "slow", "--detach", "--json").json["id"]


def made(name, cygni, home) -> list[str]:
    """The arguments of this command, once what they name is there."""
    makers = (live, token, variable, unheard_of, project, connection, row, role, grant, invitation, under_way)
    words = " ".join(CALLS[name])
    needed = {maker.__name__: maker(cygni, home) for maker in makers if f"{{{maker.__name__}}}" in words}
    return [word.format(**needed) for word in CALLS[name]]


@pytest.mark.parametrize("name", [name for name in CALLS if name not in (*ALONE, *FOR_ALL)])
def test_for_people_and_for_programs(real, home, name):
    ran = real(*name.split(), *made(name, real, home))
    assert ran.code == 0, ran.err
    assert "None" not in ran.out
    ran = real(*name.split(), *made(name, real, home), "--json")
    assert ran.code == 0, ran.err
    assert isinstance(ran.json, (dict, list))


@pytest.mark.parametrize("name", [name for name in CALLS if name not in FOR_ALL])
def test_a_server_that_sends_less_and_more(real, home, name, monkeypatch):
    """As one that is older or newer: only what identifies a thing is there, and a field that nobody knows."""
    arguments = made(name, real, home)
    kept = ("id", "name", "status", "steps", "receivedBytes", "sizeBytes", "secret")
    request, events = CygniClient.request, CygniClient._stream_events

    def strip(data):
        if isinstance(data, dict):
            known = {key: strip(value) for key, value in data.items() if key in kept}
            return {**known, "unheardOf": {"of": 1}}
        return [strip(one) for one in data] if isinstance(data, list) else data

    def less(self, *args, **options):
        answer = request(self, *args, **options)
        return replace(answer, data=strip(answer.data))

    monkeypatch.setattr(CygniClient, "request", less)
    stripped = lambda self, state: (replace(event, data=strip(event.data)) for event in events(self, state))  # noqa: E731
    monkeypatch.setattr(CygniClient, "_stream_events", stripped)
    for more in ((), ("--json",)):
        assert real(*name.split(), *arguments, *more).code in (0, 1)


NO_TOKEN = (*ANONYMOUS, "logout", "completion", "doctor", "git credential")


@pytest.mark.parametrize("name", [name for name in CALLS if name not in NO_TOKEN])
def test_with_a_token_of_no_use(real, home, name, monkeypatch):
    arguments = made(name, real, home)
    monkeypatch.setenv("CYGNI_API_KEY", LEAKED)
    ran = real(*name.split(), *arguments, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "unauthorized")
    assert ran.json["error"]["requestId"].startswith("req_")


def test_a_deploy_ends_with_the_url_that_answers(real, installation):
    ran = real("deploy", HELLO, "--project", "story")
    assert ran.out == f"http://story.localhost:{installation.apps_port}\n"
    marks = [line.split()[1:3] for line in ran.err.splitlines() if line.split()[1] in "✓-✗"]
    assert marks == [["✓", "Upload"], ["✓", "Build"], ["-", "Release"], ["✓", "Live"]]
    assert installation.get("story").status == 200


def test_a_failure_says_where_why_and_what_to_do(real, home):
    ran = real("deploy", app(home, BROKEN), "--project", "broken")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("the reason is here") == 1
    what, why, do, request = ran.err.splitlines()[-4:]
    assert what.startswith("Error    The process web exited with code 1")
    assert why.startswith("Why      start_crash, in the step start of dep_")
    assert do.startswith("Do       ")
    assert request.startswith("Request  req_")
    failed = real("deployments", "--project", "broken", "--json").json[0]
    shown = real("deployments", "show", failed["id"])
    assert "the reason is here" in shown.err
    assert "start_crash" in real("deployments", "--project", "broken").out


def test_a_rollback_says_what_it_goes_back_to(real, home):
    for value in ("1", "2"):
        real("env", "set", f"DIFFERS={value}", *IN_PROJECT)
        assert real("deploy", HELLO, *IN_PROJECT, "-m", f"with {value}").code == 0
    ran = real("rollback", *IN_PROJECT)
    assert ran.code == 0
    assert "“with 1”" in ran.err
    assert "DIFFERS was changed since" in ran.err


def test_ctrl_c_lets_go_of_a_deploy(real, home):
    command = [sys.executable, "-c", "from cygni_cli.main import main; main()", "deploy", app(home, SLOW)]
    process = subprocess.Popen(
        [*command, "--project", "held", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    )
    try:
        # its log is read, so it is followed
        assert any(b" | " in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    identity = json.loads(out)["id"]
    assert f"cygni deployments cancel {identity}" in err.decode()
    assert real("deployments", "cancel", identity).code == 0
    assert real("deployments", "watch", identity).code == 1
    assert real("deployments", "--project", "held", "--json").json[0]["status"] == "canceled"


def test_a_token_that_may_only_deploy(real, monkeypatch):
    create = ("tokens", "create", "ci", "--kind", "deploy", *IN_PROJECT, "--scope", "deployments:write")
    enough = real(*create, "--scope", "deployments:read").out.strip()
    too_little = real(*create).out.strip()
    monkeypatch.setenv("CYGNI_API_KEY", enough)
    ran = real("deploy", HELLO, *IN_PROJECT)
    assert ran.code == 0, ran.err
    assert "logs:read" in ran.err
    monkeypatch.setenv("CYGNI_API_KEY", too_little)
    ran = real("deploy", HELLO, *IN_PROJECT, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "insufficient_scope")


def test_followed_logs_begin_with_the_last_ones_and_go_on(real, installation):
    until(lambda: real("logs", *IN_PROJECT, "--source", "build", "--json").json, "lines of the build")
    command = [sys.executable, "-c", "from cygni_cli.main import main; main()", "logs", "-f", *IN_PROJECT, "-n", "1"]
    process = subprocess.Popen(
        [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ, text=True
    )
    try:
        lines = [json.loads(process.stdout.readline())]
        installation.get("shop", "/a-visit")
        while "/a-visit" not in str((lines[-1]["request"] or {}).get("path")):
            lines.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert len({line["id"] for line in lines}) == len(lines)
    assert "Error" not in err


def test_what_is_not_found_says_where_it_was_looked_for(real):
    ran = real("ps", "--project", "nope")
    assert ran.code == 1
    assert "not_found (404) · nope · production (--project)" in ran.err
